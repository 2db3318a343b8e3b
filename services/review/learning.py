"""What the facebank of a show learns from a review: faces that people decided on, never guesses.

An episode gives up to twelve faces to each person, spread over tracks. What it gave before and is theirs no
longer goes; what is kept already is not cut out of the video again.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.episode import embedder_of, load_source
from screenalyzer import artifacts, facebank, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import InputError, VideoError
from screenalyzer.facebank import Face, Facebank, keep_face
from screenalyzer.review.cast import Cast
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Person
from screenalyzer.review.shown.views import FaceRow
from screenalyzer.schemas import EMBEDDINGS
from screenalyzer.types import UInt8, VideoInfo
from screenalyzer.video.still import stills
from services.privacy.locks import facebank_held

log = logging.getLogger(__name__)

MOST_FACES: Final = 12  # of a person in an episode


def learn(desk: Desk, people: Iterable[Person], paths: EpisodePaths, video: Path | None) -> int:
    """Bring the facebank up to date with an episode's review. The caller holds the episode.

    Args:
        desk: the review.
        people: of the show.
        paths: the episode.
        video: its file, to cut new faces out of; None where it is gone: then only known faces are kept.

    Returns:
        How many faces the facebank has of the episode now.

    Raises:
        EmbedderMismatchError: the facebank was filled by another embedder.
        EpisodeBusyError: somebody holds the facebank for long.
    """
    chosen = {e.name: choose(desk, e.entity_id) for e in desk.entities() if e.person_id and not e.mark}
    embedder = embedder_of(artifacts.read_table(paths.embeddings, EMBEDDINGS, ["det_id"]))
    before = facebank.open_for(paths.facebank, embedder)
    if not any(chosen.values()) and not before.people:
        return 0
    known = {f.det_id: f for f in _of_episode(before, paths)}
    every = [row for rows in chosen.values() for row in rows]
    faces = {**known, **_cut(desk, paths, video, [r for r in every if r.det_id not in known])}
    paths.facebank.mkdir(parents=True, exist_ok=True)
    with facebank_held(paths.root, paths.show):
        before = facebank.open_for(paths.facebank, embedder)
        after = _renamed(before, people).remove_episode(paths.episode).remove_episode(paths.key)
        for name, rows in sorted(chosen.items()):
            own = [replace(faces[r.det_id], track_id=r.track_id) for r in rows if r.det_id in faces]
            after = after.add(name, own) if own else after
        if _content(after) != _content(before):
            after.save(paths.facebank)
    return len(_of_episode(after, paths))


def choose(desk: Desk, entity_id: str) -> list[FaceRow]:
    """The faces to keep of a person: of pieces that people decided on, in turn, the best of each first."""
    best = {d: n for dets in desk.base.samples.values() for n, d in enumerate(dets)}
    pieces: dict[str, list[FaceRow]] = {}
    for face in desk.faces(entity_id):
        if face.pinned:
            pieces.setdefault(face.piece_id, []).append(face)
    for own in pieces.values():
        own.sort(key=lambda f: (best.get(f.det_id, len(best)), f.det_id))
    longest = sorted(pieces.values(), key=lambda own: (-len(own), own[0].det_id))
    turns = [face for turn in zip_longest(*longest) for face in turn if face is not None]
    return turns[:MOST_FACES]


def _cut(desk: Desk, paths: EpisodePaths, video: Path | None, rows: Sequence[FaceRow]) -> Mapping[str, Face]:
    """Faces cut out of the video, by detection; those that no pixel shows are left out."""
    if video is None or not rows:
        return {}
    obs = desk.base.obs
    place = {str(d): n for n, d in enumerate(obs.det_id)}
    at: dict[int, list[FaceRow]] = {}
    for row in rows:
        at.setdefault(int(obs.ts_ms[place[row.det_id]]), []).append(row)
    found: dict[str, Face] = {}
    info = load_source(paths)
    for ts_ms, frame in _pictures(video, info, sorted(at)):
        scale = np.float32(frame.shape[0] / info.height)  # boxes are in pixels of the frame as displayed
        for row in at[ts_ms]:
            n = place[row.det_id]
            try:
                crop, box, landmarks = keep_face(frame, obs.boxes[n] * scale, obs.landmarks[n] * scale)
            except InputError:
                continue
            vector = np.array(obs.embeddings[n], dtype=np.float32)
            found[row.det_id] = Face(paths.episode, row.track_id, row.det_id, vector, crop, box, landmarks)
    return found


def _pictures(video: Path, info: VideoInfo, times: list[int]) -> Iterator[tuple[int, UInt8]]:
    """What of the moments can be read; a video that is damaged must not keep a review from its readers."""
    storage.need(video)
    try:
        yield from stills(video, info, times)
    except VideoError as e:
        log.warning("the facebank learns less: %s", e)


def _renamed(bank: Facebank, people: Iterable[Person]) -> Facebank:
    """The facebank with everybody under the name that they bear now."""
    cast = Cast({p.person_id: p for p in people}, ())
    for known in sorted(bank.people):
        person_id = cast.by_name(known)
        if person_id is not None and cast.name(person_id) != known:
            bank = bank.rename(known, cast.name(person_id))
    return bank


def _of_episode(bank: Facebank, paths: EpisodePaths) -> list[Face]:
    mine = {paths.episode, paths.key}  # a face may name its episode with or without the show
    return [f for faces in bank.people.values() for f in faces if f.episode in mine]


def _content(bank: Facebank) -> dict[str, list[tuple[str, str, str]]]:
    return {n: [(f.episode, f.track_id, f.det_id) for f in faces] for n, faces in sorted(bank.people.items())}
