"""Purging a person from every episode of a show, while all of them are held, and from its facebank last.

What people have decided is written into the files first: what is theirs is read there. From the request on
nobody can edit the reviews of the show. The facebank goes last, since it is what tells the name that an id
stands for where no row does; the ledger knows it too.
"""

from collections.abc import Mapping
from contextlib import ExitStack

from sqlalchemy import select

from screenalyzer import artifacts, facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure import person, traces
from screenalyzer.erasure.belongings import belongings
from screenalyzer.erasure.traces import Traces
from screenalyzer.errors import EpisodeBusyError
from services.db.models import ENDED, Episode, Job, Show
from services.privacy import rows
from services.privacy.database import Needles
from services.privacy.locks import episode_held, facebank_held
from services.privacy.people import rows_of
from services.privacy.work import Work
from services.review import publish
from services.review.forgetting import forget_person, pieces_of

Episodes = Mapping[str, EpisodePaths]  # by id of the row


def purge_person(work: Work, show_id: str, person_id: str) -> None:
    """Remove a person from a show; does nothing where nobody has this id.

    Raises:
        EpisodeBusyError: an episode is being processed or exported.
        Stopped: told to stop.
    """
    with work.services.database.read() as session:
        show = session.get(Show, show_id)
        found = session.execute(select(Episode.id, Episode.name).where(Episode.show_id == show_id)).all()
    if show is None:
        return
    names = sorted((row.name, row.id) for row in found)
    episodes = {row_id: EpisodePaths(work.root, show.name, name) for name, row_id in names}
    _write_decisions(work, episodes)
    with ExitStack() as holds:
        for paths in episodes.values():
            work.check()
            holds.enter_context(episode_held(paths))
            artifacts.pull(paths, chunks=True, crops=True)
        _wait_for_readers(work, show_id)
        if not _note(work, show, episodes, person_id):
            return
        _erase(work, show, episodes)
    changed = rows.blot_out(work.services, show_id, Needles(work.ledger.facts["names"]))
    work.ledger.count("rows", rows=changed)


def _write_decisions(work: Work, episodes: Episodes) -> None:
    """Bring the files of every episode up to date with its review."""
    for episode_id, paths in episodes.items():
        work.check()
        with work.services.database.read() as session:
            glance = work.services.desks.glance(session, episode_id)
        if glance.made_from and not glance.is_published:
            publish.publish(work.services, episode_id, paths)


def _note(work: Work, show: Show, episodes: Episodes, person_id: str) -> bool:
    """Write down everything that may be found nowhere afterwards; returns whether there is anybody."""
    if "names" in work.ledger.facts:
        return True
    every = list(episodes.values())
    with work.services.database.read() as session:
        everybody = rows_of(session, show.id, person_id)
        names = sorted({n for p in everybody for n in (p.name, *p.former)})
        if not names:
            name = person.name_of(work.root, show.name, person_id, every)
            names = [name] if name else []
        pieces = {
            episode_id: pieces_of(session, episode_id, paths, everybody, names)
            for episode_id, paths in episodes.items()
        }
    if not names:
        return False
    seen, found_in = Traces(), 0
    for name in names:
        seen |= traces.of_person(work.root, show.name, every, facebank.person_id(name))
    for episode_id, paths in episodes.items():
        own = belongings(paths, names[0], names)
        found_in += bool(own)
        pieces[episode_id] = sorted({*pieces[episode_id], *own.piece_ids})
    facts = {
        "names": names, "show": show.name, "people": [p.person_id for p in everybody], "pieces": pieces
    }  # fmt: skip
    work.ledger.note(traces=seen, words=names, facts=facts)
    work.ledger.count("person", people=1, episodes=found_in)
    return True


def _erase(work: Work, show: Show, episodes: Episodes) -> None:
    facts = work.ledger.facts
    for n, paths in enumerate(episodes.values()):
        for name in facts["names"]:
            work.check()
            work.report(n, len(episodes))
            gone = person.erase(paths, name)
            work.ledger.count(
                f"in {paths.episode}", clusters=gone.clusters, tracks=gone.tracks, faces=gone.faces
            )
    with work.services.database.write() as session:
        told = forget_person(session, show.id, facts["people"], facts["names"], facts["pieces"])
    work.ledger.count("review", rows=told)
    with facebank_held(work.root, show.name):
        faces = sum(
            person.erase_from_facebank(work.root, show.name, facebank.person_id(n)) for n in facts["names"]
        )
    work.ledger.count("facebank", facebank_faces=faces)


def _wait_for_readers(work: Work, show_id: str) -> None:
    """Exports and publications have read what must go, or will write it again."""
    live = select(Job).where(
        Job.show_id == show_id, Job.kind.in_(("export", "publish")), Job.state.not_in((*ENDED, "paused"))
    )
    with work.services.database.read() as session:
        job = session.scalar(live.limit(1))
    if job:
        raise EpisodeBusyError(f"job {job.id} ({job.kind}) works on an episode of the show. Wait for it.")
