"""Desks of episodes in memory: loaded once, then brought up to date by what SQL has more.

SQL is the truth, and several processes may each hold a desk of one episode. So whoever opens one looks first
whether the automatic stages have run again, whether the log has grown, and whether what was applied last is
still in it.

One thread at a time works at a desk. Locks are taken in one order: rows of the database, then the desk. Who
waits for a desk therefore holds no rows that somebody at it could need, and a load, which takes seconds,
is done before a writing transaction begins wherever that can be foreseen (`warm`).
"""

import gc
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import pyarrow.dataset  # noqa: F401 - what the first table that is read would import
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from threadpoolctl import threadpool_limits

from pipelines.review import load_base
from screenalyzer import artifacts, facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.errors import ArtifactError
from screenalyzer.results import EpisodeFacts
from screenalyzer.review.carrying.anchors import Anchor
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Person
from screenalyzer.review.record import ReviewRecord
from screenalyzer.review.shown.views import Entity
from screenalyzer.settings import Settings
from services.db.models import Edit, Episode, Show
from services.review import lines, people, record
from services.review.lines import Line, own_changes
from services.review.settings import of_last_run

if TYPE_CHECKING:
    from services.context import Services


class NotReadyError(ArtifactError):
    """The episode has nothing that could be reviewed, or is about to have something else."""


@dataclass(frozen=True)
class Glance:
    """What SQL and the markers say of an episode's review; cheap to ask.

    Attributes:
        episode_id: of the row.
        title: of the episode.
        paths: of its artifacts.
        show_id: of the row.
        revision: of the review.
        published: the revision that its files show; -1 where they are to be written again.
        but_for_names: they show this revision, under names that people had before.
        people_revision: of the show's people.
        settings: of the run that made what there is.
        made_from: tells one result of the automatic stages from another; empty where there is none.
    """

    episode_id: str
    title: str
    paths: EpisodePaths
    show_id: str
    revision: int
    published: int
    but_for_names: bool
    people_revision: int
    settings: Settings
    made_from: str

    @property
    def is_published(self) -> bool:
        """Whether the files show this revision."""
        return self.published >= self.revision

    def require(self) -> None:
        """Refuse where there is nothing to review.

        Raises:
            NotReadyError: that is so.
        """
        # A publication takes the last marker away for a moment; all that a desk needs lies before it.
        done = artifacts.recorded_fingerprint(self.paths.marker("analytics")) is not None
        if not self.made_from or not (done or not self.is_published):
            raise NotReadyError(
                f"Episode {self.paths.key} has no results yet. Wait until its job is done, or start one."
            )


@dataclass
class Open:
    """A desk with what the service knows beside it. For the thread that opened it.

    Attributes:
        glance: what SQL said when it was opened.
        desk: up to date with `lines`.
        lines: the log.
        known: ids of the people who are written down in SQL.
        people_revision: of the show's people that the desk knows.
        anchors: of the pieces of the decisions.
        facts: of the video.
        since: the revision that it was loaded at: what was before is not known here.
        entities: as they are now, by id.
        changed: when each entity was last seen to change, as a revision; a half stands for people who were
            changed from elsewhere.
        gone: likewise for entities that are no more.
        unsure: changes were applied that may not be in SQL; it is to be thrown away.
    """

    glance: Glance
    desk: Desk
    lines: list[Line]
    known: frozenset[str]
    people_revision: int
    anchors: dict[str, Anchor]
    facts: EpisodeFacts
    since: int
    entities: dict[str, Entity]
    changed: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    unsure: bool = False

    @property
    def revision(self) -> int:
        """Of the review, as the desk shows it."""
        return self.lines[-1].entry.number if self.lines else 0

    def take_people(self, known: Sequence[Person], people_revision: int) -> None:
        """Show the people of the show as SQL has them now."""
        if {p.person_id: p for p in known} != self.desk.people:
            self.desk.set_people(known)
        self.known = frozenset(p.person_id for p in known)
        self.people_revision = people_revision

    def look_again(self, at: float) -> None:
        """Note which entities have changed, at a revision."""
        fresh = {e.entity_id: e for e in self.desk.entities()}
        for entity_id, entity in fresh.items():
            if self.entities.get(entity_id) != entity:
                self.changed[entity_id] = at
                self.gone.pop(entity_id, None)
        for entity_id in self.entities.keys() - fresh.keys():
            self.changed.pop(entity_id, None)
            self.gone[entity_id] = at
        self.entities = fresh


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: Open | None = None
    ahead: bool = False  # loaded, and nobody has asked for it yet


class Desks:
    """The desks of one process."""

    def __init__(self, services: "Services", most: int | None = None) -> None:
        """Take what the process shares, and how many desks are kept; as the settings say where left out.

        A desk's matrices are small. Several threads for one product would mostly wait for one another, many
        times longer than it takes where other programs keep the processor busy; so from now on one does it.
        """
        self._services, self._most = services, most or services.settings.api.desks
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        threadpool_limits(1, user_api="blas")

    def glance(self, session: Session, episode_id: str) -> Glance:
        """What there is of an episode, which exists."""
        newest = select(func.max(Edit.number)).where(Edit.episode_id == episode_id).scalar_subquery()
        row = session.execute(
            select(
                Episode.name, Episode.title, Episode.published_revision, Show.id, Show.name,
                Show.people_revision, newest,
            )
            .join(Show, Show.id == Episode.show_id)
            .where(Episode.id == episode_id)
        ).one()  # fmt: skip
        paths, newest_line = EpisodePaths(self._services.settings.root, row[4], row[0]), row[6] or 0
        artifacts.pull(paths, within_s=artifacts.FRESH_S)
        settings = of_last_run(session, self._services.main_job, episode_id)
        return Glance(
            episode_id=episode_id,
            title=row[1],
            paths=paths,
            show_id=row[3],
            revision=newest_line,
            published=max(row[2], -1),
            but_for_names=row[2] == people.but_for_names(newest_line),
            people_revision=row[5],
            settings=settings,
            made_from=_made_from(paths, settings),
        )

    def loaded(self) -> set[str]:
        """The episodes whose desks are in memory."""
        with self._lock:
            return {e for e, slot in self._slots.items() if slot.held is not None}

    def warm(self, episode_id: str) -> None:
        """Load a desk where it is not there, so that a writing transaction need not.

        Raises:
            NotReadyError: there is nothing to review.
            NoResultFound: there is no such episode.
        """
        held = self._slot(episode_id).held
        if held is None or not self._fits(episode_id, held):
            with self._services.database.read() as session, self.open(session, episode_id):
                return

    def prepare(self, episode_id: str) -> None:
        """Load a desk that nobody has asked for, or load it again; not where others need the room.

        Raises:
            NotReadyError: there is nothing to review.
            ArtifactError: a file is damaged.
            NoResultFound: there is no such episode.
        """
        held = self._slot(episode_id, used=False).held
        if held is not None and self._fits(episode_id, held):
            return
        if not self._make_room(episode_id, ahead=True):
            return
        with self._services.database.read() as session, self._opened(session, episode_id, ahead=True):
            return

    @contextmanager
    def open(self, session: Session, episode_id: str) -> Iterator[Open]:
        """An episode's desk, up to date, for the time of the block.

        Args:
            session: of a writing transaction; or of one that has not begun to read, so that it sees all
                that the desk has.
            episode_id: of an episode that exists.

        Raises:
            NotReadyError: there is nothing to review.
            ArtifactError: a file is damaged.
        """
        with self._opened(session, episode_id, ahead=False) as held:
            yield held

    @contextmanager
    def _opened(self, session: Session, episode_id: str, *, ahead: bool) -> Iterator[Open]:
        slot = self._slot(episode_id, used=not ahead)
        with slot.lock:
            glance = self.glance(session, episode_id)
            glance.require()
            held = slot.held
            # One that is unsure here could not follow the log: it is no good any more.
            if held is None or held.unsure or not _catch_up(session, held, glance):
                slot.ahead = slot.held is None and ahead
                with _uncollected():
                    slot.held = held = _load(session, glance)
                self._make_room(episode_id, ahead=ahead)
            slot.ahead = slot.ahead and ahead
            held.glance = glance
            try:
                yield held
            finally:
                if held.unsure:
                    slot.held = None

    def _slot(self, episode_id: str, *, used: bool = True) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(episode_id, _Slot())
            if used:
                self._slots.move_to_end(episode_id)
            return slot

    def _make_room(self, but: str, *, ahead: bool) -> bool:
        """Forget desks so that one more can be kept: first those that nobody asked for, oldest first.

        Args:
            but: the episode of that desk; its own stays.
            ahead: nobody asked for that desk either; then no desk that somebody asked for is forgotten.

        Returns:
            Whether there is room now.
        """
        with self._lock:
            loaded = [e for e, slot in self._slots.items() if slot.held is not None and e != but]
            idle = [e for e in loaded if self._slots[e].ahead]
            asked = [] if ahead else [e for e in loaded if not self._slots[e].ahead]
            over = len(loaded) + 1 - self._most
            if ahead:
                over = max(over, len(idle) + 1 - self._services.settings.api.desks_ahead)
            gone = [*idle, *asked][: max(0, over)]
            for episode_id in gone:
                self._slots[episode_id].held = None  # whoever is at it keeps it until they have finished
        if gone:
            _look_through()
        return over <= len(gone)

    def _fits(self, episode_id: str, held: Open) -> bool:
        with self._services.database.read() as session:
            return self.glance(session, episode_id).made_from == held.glance.made_from


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from what is made in the block, and from all else that there is by then.

    It would walk over desks again and again, which takes longer than an edit.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def _look_through() -> None:
    """Collect what was set aside and is no longer needed, such as a desk that was forgotten."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _made_from(paths: EpisodePaths, settings: Settings) -> str:
    """Of the cluster stage's marker, which knows all before it and its own files, and of later settings."""
    try:
        marker = paths.marker("cluster").read_bytes()
    except FileNotFoundError:
        return ""
    later = artifacts.fingerprint(settings.cluster, settings.rules)
    return sha256(marker + later.encode()).hexdigest()


def _load(session: Session, glance: Glance) -> Open:
    log = lines.read(session, glance.episode_id)
    known = people.of_show(session, glance.show_id)
    anchors = record.anchors_of(session, glance.episode_id)
    decisions = record.decisions_of(log)
    review = ReviewRecord(glance.revision, decisions.items(), tuple(known), anchors)
    base = load_base(glance.paths, glance.settings, review)
    facts = EpisodeFacts.load(glance.paths)
    if _made_from(glance.paths, glance.settings) != glance.made_from:
        raise NotReadyError(f"Episode {glance.paths.key} is being processed. Wait until its job is done.")
    desk = Desk(base, known, decisions)
    revision = log[-1].entry.number if log else 0
    return Open(
        glance=glance,
        desk=desk,
        lines=log,
        known=frozenset(p.person_id for p in known),
        people_revision=glance.people_revision,
        anchors=anchors,
        facts=facts,
        since=revision,
        entities={e.entity_id: e for e in desk.entities()},
    )


def _catch_up(session: Session, held: Open, glance: Glance) -> bool:
    """Apply what SQL has more; False where the desk cannot become what SQL says."""
    if held.glance.made_from != glance.made_from:
        return False
    if held.lines and not _is_there(session, glance.episode_id, held.lines[-1]):
        return False
    if glance.people_revision != held.people_revision:
        known = people.of_show(session, glance.show_id)
        if held.known - {p.person_id for p in known} or not _are_kept(held.desk.base.gallery, glance.paths):
            return False  # somebody was purged, from the log and the facebank too, or was never made
        held.take_people(known, glance.people_revision)
        held.look_again(held.revision + 0.5)
    news = lines.read(session, glance.episode_id, held.revision)
    if news:
        held.unsure = True
        for line in news:
            held.desk.apply(own_changes(line.entry))
            held.lines.append(line)
        held.look_again(held.revision)
        held.unsure = False
    return True


def _are_kept(gallery: Gallery | None, paths: EpisodePaths) -> bool:
    """Whether the facebank still knows all whose faces a desk knows from it."""
    bank = facebank.load(paths.facebank) if gallery is not None else None
    return gallery is None or (bank is not None and set(gallery.names) <= bank.people.keys())


def _is_there(session: Session, episode_id: str, line: Line) -> bool:
    query = select(Edit.id).where(Edit.episode_id == episode_id, Edit.number == line.entry.number)
    return session.scalar(query) == line.id
