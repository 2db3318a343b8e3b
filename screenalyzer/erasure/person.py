"""Forgetting one person: in an episode that was processed, and in the facebank of a show.

An erasure first writes down where the faces were (`erased`), so that no later run brings them back, and then
what it has set out to remove. Each file is written whole, and what is to be removed stays written down until
all is done; so a killed erasure is brought to its end by the next call, to the same bytes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from screenalyzer import facebank, storage
from screenalyzer.artifacts import EpisodePaths, read_json, sweep_temporaries, write_json
from screenalyzer.erasure import erased, reviewed, rewrite
from screenalyzer.erasure.belongings import belongings
from screenalyzer.erasure.groups import known_as, names_in
from screenalyzer.erasure.plan import Plan
from screenalyzer.errors import InputError
from screenalyzer.results import read_timeline


@dataclass(frozen=True)
class Erased:
    """How much was removed from an episode.

    Attributes:
        clusters: that went as a whole.
        tracks: of these clusters, and of kept faces in other people's.
        faces: of these tracks, with second boxes on them.
    """

    clusters: int
    tracks: int
    faces: int


def erase(paths: EpisodePaths, name: str) -> Erased:
    """Remove a person from everything that was computed of an episode. The caller holds the episode's lock.

    Theirs is what bears their name, and what the facebank keeps of them: so the facebank is erased after the
    episodes. An unnamed cluster that holds such a face goes as a whole; one that bears another's name loses
    the track, and that person's times are put right when the episode is processed next.

    The episode stays whole: its readers work, its markers vouch for the new files, and the other people keep
    their names and totals. Exports are removed, whoever they show. What is not there is left alone, so that
    it can be called again, and for people who are not in the episode.

    Args:
        paths: the episode.
        name: of the person, as `people.display_names` shows it.

    Returns:
        What was removed, also by an earlier call that was killed.

    Raises:
        InputError: an empty name.
        ArtifactError: an artifact is damaged.
    """
    if not name.strip():
        raise InputError("nobody has an empty name. Say whom to erase.")
    for folder in (paths.harvest, paths.outputs):
        sweep_temporaries(folder)
    who = facebank.person_id(name.strip())
    before = _finish(paths)
    found = _begin(paths, name.strip(), who)
    if found is not None:
        _finish(paths)
    mine = [p for p in (before, found) if p is not None and p.person_id == who]
    return Erased(
        len({c for p in mine for c in p.cluster_ids}),
        len({t for p in mine for t in p.track_ids}),
        len({d for p in mine for d in p.det_ids}),
    )


def erase_from_facebank(root: Path, show: str, person_id: str) -> int:
    """Forget a person of a show and every kept face of theirs. The caller holds the show's facebank.

    Args:
        root: the data root.
        show: its name as a path.
        person_id: see `facebank.person_id`.

    Returns:
        Count of faces that were removed; 0 for somebody who is not in the facebank.

    Raises:
        ArtifactError: the facebank is damaged.
    """
    folder = _bank_folder(root, show)
    sweep_temporaries(folder)
    bank = facebank.load(folder)
    gone = [n for n in bank.people if facebank.person_id(n.strip()) == person_id] if bank else []
    if bank is None or not gone:
        return 0
    left = bank
    for name in gone:
        left = left.remove_person(name)
    left.save(folder)
    return sum(len(bank.people[n]) for n in gone)


def name_of(root: Path, show: str, person_id: str, episodes: Sequence[EpisodePaths]) -> str | None:
    """The name behind an id: from the facebank, else from the clusters of the episodes; None for a stranger.

    Raises:
        ArtifactError: the facebank or a table of clusters is damaged.
    """
    bank = facebank.load(_bank_folder(root, show))
    for name in sorted(bank.people) if bank else []:
        if facebank.person_id(name.strip()) == person_id:
            return name.strip()
    for paths in episodes:
        for name in sorted(names_in(paths)):
            if facebank.person_id(name) == person_id:
                return name
    return None


def _bank_folder(root: Path, show: str) -> Path:
    return EpisodePaths(root, show, "").facebank


def _begin(paths: EpisodePaths, name: str, who: str) -> Plan | None:
    """Write down where the faces were and what is to go; None where the person is not in the episode."""
    known = known_as(paths, name)
    own, names = belongings(paths, name, known.names), {name, *known.names}
    listed = paths.timeline.exists() and any(i.person in names for i in read_timeline(paths))
    if not own and not listed and not known.people_ids and names.isdisjoint(names_in(paths)):
        return None
    if own.appearances:
        erased.keep(paths, own.appearances)
    plan = Plan(
        person_id=who,
        cluster_ids=own.cluster_ids,
        found_ids=own.found_ids,
        piece_ids=own.piece_ids,
        track_ids=own.track_ids,
        det_ids=own.det_ids,
        shown_ids=tuple(sorted({facebank.person_id(n) for n in {*own.shown, *names}} - {who})),
        people_ids=tuple(sorted(known.people_ids)),
        markers=rewrite.good_markers(paths),
    )
    write_json(paths.erasing, plan.to_json())
    return plan


def _finish(paths: EpisodePaths) -> Plan | None:
    """Do what is written down; None where nothing is."""
    if not paths.erasing.exists():
        return None
    plan = Plan.from_json(read_json(paths.erasing), paths.erasing)
    _remove_exports(paths)
    rewrite.results(paths, plan)
    _remove_crops(paths, plan.det_ids)
    reviewed.decisions(paths, plan)
    reviewed.tables(paths, plan)
    rewrite.groups(paths, plan)
    rewrite.faces(paths, plan)
    rewrite.vouch(paths, plan)
    storage.remove(paths.erasing)
    storage.fsync_folder(paths.erasing.parent)
    return plan


def _remove_exports(paths: EpisodePaths) -> None:
    if paths.exports.is_dir():
        storage.remove_tree(paths.exports)
        storage.fsync_folder(paths.exports.parent)


def _remove_crops(paths: EpisodePaths, det_ids: Collection[str]) -> None:
    gone = set(det_ids)
    crops = [p for p in paths.crops.glob("*.jpg") if p.stem in gone]
    storage.remove(*crops)
    if crops:
        storage.fsync_folder(paths.crops)
