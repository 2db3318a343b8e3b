"""The named faces of a show: who they are, where each face came from, and the embedder that read them.

Two files: `people.parquet` and `embeddings.parquet`. Each is written whole. Faces are the truth: a count
that a killed writer left wrong is put right when the bank is opened, and a face without a person is dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

import cv2
import numpy as np
import pyarrow as pa

from screenalyzer.artifacts import read_table, sweep_temporaries, write_table
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.errors import ArtifactError, EmbedderMismatchError, InputError
from screenalyzer.schemas import FACEBANK_EMBEDDINGS, FACEBANK_PEOPLE
from screenalyzer.types import EmbedderId, Faces, Float32, UInt8
from screenalyzer.vectors import unit

_NAMESPACE = uuid5(NAMESPACE_URL, "screenalyzer:person")
_EMBEDDER_KEY = "embedder"
_MARGIN = 0.5  # of the box, on every side
_KEPT_SIDE = 320  # pixels of a kept crop: its face is then 160, what the largest embedder reads
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Face:
    """One kept face of a person.

    Attributes:
        episode: where it was seen.
        track_id: the track it is a sample of.
        det_id: the detection.
        embedding: float32[d], unit length.
        crop: JPEG or PNG of the face with a margin, from which any embedder can align and read it again.
        crop_box: float32[4], the face in pixels of the crop.
        crop_landmarks: float32[5, 2], likewise.
    """

    episode: str
    track_id: str
    det_id: str
    embedding: Float32
    crop: bytes
    crop_box: Float32
    crop_landmarks: Float32


class CropEmbedder(Protocol):
    """What re-embedding asks of an embedder."""

    @property
    def id(self) -> EmbedderId:
        """What its vectors are made by."""

    def align(self, frames: UInt8, faces: Faces) -> UInt8:
        """Crops uint8[n, s, s, 3] of the faces of frames uint8[m, h, w, 3], RGB."""

    def embed(self, crops: UInt8) -> Float32:
        """Unit vectors float32[n, d] of such crops."""


@dataclass(frozen=True)
class Facebank:
    """All named faces of one show; immutable, every change gives a new bank to `save`.

    Attributes:
        embedder: what every vector in it was made by.
        people: name to their faces, which may be none.
    """

    embedder: EmbedderId
    people: dict[str, tuple[Face, ...]]

    def add(self, name: str, faces: Iterable[Face]) -> "Facebank":
        """Add faces to a person, who may be new. A detection that they already have is replaced.

        Raises:
            InputError: an empty name.
            EmbedderMismatchError: a vector of another length.
        """
        if not name.strip():
            raise InputError("a person needs a name")
        held = {(f.episode, f.det_id): f for f in self.people.get(name, ())}
        for face in faces:
            if face.embedding.shape != (self.embedder.dim,):
                raise EmbedderMismatchError(
                    f"a vector of shape {face.embedding.shape} is not from {self.embedder}, which fills it"
                )
            held[face.episode, face.det_id] = face
        ordered = tuple(held[k] for k in sorted(held))
        return replace(self, people={**self.people, name: ordered})

    def remove_faces(self, name: str, track_ids: Iterable[str]) -> "Facebank":
        """Take back what some tracks gave to a person; the person stays, with what is left."""
        gone = set(track_ids)
        left = tuple(f for f in self.people.get(name, ()) if f.track_id not in gone)
        return replace(self, people={**self.people, name: left}) if name in self.people else self

    def remove_person(self, name: str) -> "Facebank":
        """Forget a person and every face of theirs."""
        return replace(self, people={n: f for n, f in self.people.items() if n != name})

    def remove_episode(self, episode: str) -> "Facebank":
        """Forget every face that came from an episode; a person who has no other is forgotten with them."""
        left = {n: tuple(f for f in faces if f.episode != episode) for n, faces in self.people.items()}
        return replace(self, people={n: f for n, f in left.items() if f or not self.people[n]})

    def rename(self, old: str, new: str) -> "Facebank":
        """Give a person another name; where someone bears it already, the two become one."""
        faces = self.people.get(old, ())
        return self.remove_person(old).add(new, faces)

    def gallery(self) -> Gallery:
        """The faces as clustering wants them."""
        names = tuple(sorted(self.people))
        rows = [(p, f.embedding) for p, n in enumerate(names) for f in self.people[n]]
        vectors = np.array([v for _, v in rows], dtype=np.float32).reshape(-1, self.embedder.dim)
        episodes = tuple(len({f.episode for f in self.people[n]}) for n in names)
        return Gallery(names, np.array([p for p, _ in rows], dtype=np.int64), unit(vectors), episodes)

    def save(self, folder: Path) -> None:
        """Write both files, each whole, in the order that never leaves a face without its person.

        What was removed is gone from the folder when this returns: the files are written anew, and
        leftovers of killed writers are swept. One writer at a time; the caller sees to that.
        """
        self._write_people(folder, kept_too=self._names_on_disk(folder))
        self._write_faces(folder)
        self._write_people(folder, kept_too=set())
        sweep_temporaries(folder)

    def _names_on_disk(self, folder: Path) -> set[str]:
        path = folder / "people.parquet"
        return set(read_table(path, FACEBANK_PEOPLE).column("name").to_pylist()) if path.exists() else set()

    def _write_people(self, folder: Path, kept_too: set[str]) -> None:
        names = sorted(self.people.keys() | kept_too)
        columns = {
            "person_id": [person_id(n) for n in names],
            "name": names,
            "face_count": [len(self.people.get(n, ())) for n in names],
        }
        table = pa.table(columns, schema=FACEBANK_PEOPLE.remove_metadata())
        write_table(folder / "people.parquet", table, FACEBANK_PEOPLE, _metadata(self.embedder))

    def _write_faces(self, folder: Path) -> None:
        rows = [(n, f) for n in sorted(self.people) for f in self.people[n]]
        columns = {
            "person_id": [person_id(n) for n, _ in rows],
            "episode": [f.episode for _, f in rows],
            "track_id": [f.track_id for _, f in rows],
            "det_id": [f.det_id for _, f in rows],
            "embedder": [str(self.embedder)] * len(rows),
            "embedding": [f.embedding.tolist() for _, f in rows],
            "crop": [f.crop for _, f in rows],
            "crop_bbox": [f.crop_box.ravel().tolist() for _, f in rows],
            "crop_landmarks": [f.crop_landmarks.ravel().tolist() for _, f in rows],
        }
        table = pa.table(columns, schema=FACEBANK_EMBEDDINGS.remove_metadata())
        write_table(folder / "embeddings.parquet", table, FACEBANK_EMBEDDINGS, _metadata(self.embedder))


def person_id(name: str) -> str:
    """The id of a person of a show, derived from the name."""
    return str(uuid5(_NAMESPACE, name))


def load(folder: Path) -> Facebank | None:
    """Read a show's facebank, whatever embedder filled it; None where there is none yet.

    Raises:
        ArtifactError: a file is damaged or of another schema.
    """
    if not (folder / "people.parquet").exists() or not (folder / "embeddings.parquet").exists():
        return None
    people = read_table(folder / "people.parquet", FACEBANK_PEOPLE)
    faces = read_table(folder / "embeddings.parquet", FACEBANK_EMBEDDINGS)
    embedder = _embedder_of(faces, folder / "embeddings.parquet")
    names = dict(zip(people.column("person_id").to_pylist(), people.column("name").to_pylist(), strict=True))
    held: dict[str, list[Face]] = {n: [] for n in sorted(names.values())}
    for row in faces.to_pylist():
        if row["person_id"] in names:
            held[names[row["person_id"]]].append(_face_of(row))
    return Facebank(embedder, {n: tuple(f) for n, f in held.items()})


def open_for(folder: Path, embedder: EmbedderId) -> Facebank:
    """The show's facebank, held to one embedder; a new empty one where there is none, or none with a face.

    Raises:
        EmbedderMismatchError: it was filled by another embedder.
        ArtifactError: a file is damaged or of another schema.
    """
    bank = load(folder)
    if bank is None:
        return Facebank(embedder, {})
    if bank.embedder == embedder:
        return bank
    if not any(bank.people.values()):
        return Facebank(embedder, bank.people)
    raise EmbedderMismatchError(
        f"the facebank in {folder} was filled by {bank.embedder} and cannot be searched with {embedder}. "
        f"Go on with {bank.embedder.name}, or read its kept crops again (facebank.reembed)."
    )


def keep_face(frame: UInt8, box: Float32, landmarks: Float32) -> tuple[bytes, Float32, Float32]:
    """Cut what a facebank keeps of a face: with a margin that every embedder's alignment fits into.

    Args:
        frame: uint8[h, w, 3], RGB.
        box: float32[4], in pixels of the frame.
        landmarks: float32[5, 2], likewise.

    Returns:
        JPEG bytes, and the box and the landmarks in pixels of that picture.

    Raises:
        InputError: the box has no pixel in the frame.
    """
    size = box[2:] - box[:2]
    low = np.maximum(np.floor(box[:2] - _MARGIN * size), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + _MARGIN * size), frame.shape[1::-1]).astype(int)
    if (high <= low).any():
        raise InputError("a face outside the frame cannot be kept")
    part = frame[low[1] : high[1], low[0] : high[0]]
    shrink = min(1.0, _KEPT_SIDE / max(part.shape[:2]))
    if shrink < 1:
        wanted = np.maximum(np.round(np.array(part.shape[1::-1]) * shrink), 1).astype(int)
        part = cv2.resize(part, (int(wanted[0]), int(wanted[1])), interpolation=cv2.INTER_AREA)
    scale = np.array(part.shape[1::-1]) / (high - low)
    _, coded = cv2.imencode(".jpg", part[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    moved = ((box.reshape(2, 2) - low) * scale).astype(np.float32).reshape(4)
    return coded.tobytes(), moved, ((landmarks - low) * scale).astype(np.float32)


def reembed(bank: Facebank, embedder: CropEmbedder) -> Facebank:
    """Align and read every kept crop again with another embedder.

    Raises:
        ArtifactError: a crop is no picture; names the face.
    """
    fresh: dict[str, tuple[Face, ...]] = {}
    for name, faces in sorted(bank.people.items()):
        crops = [embedder.align(_decode(name, f)[None], _as_faces(f)) for f in faces]
        vectors: list[Float32] = list(unit(embedder.embed(np.concatenate(crops)))) if crops else []
        fresh[name] = tuple(replace(f, embedding=v) for f, v in zip(faces, vectors, strict=True))
    return Facebank(embedder.id, fresh)


def _as_faces(face: Face) -> Faces:
    frame, conf = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.float32)
    return Faces(frame, face.crop_box.reshape(1, 4), conf, face.crop_landmarks.reshape(1, 5, 2))


def _face_of(row: dict[str, Any]) -> Face:
    return Face(
        episode=row["episode"],
        track_id=row["track_id"],
        det_id=row["det_id"],
        embedding=np.array(row["embedding"], dtype=np.float32),
        crop=row["crop"],
        crop_box=np.array(row["crop_bbox"], dtype=np.float32),
        crop_landmarks=np.array(row["crop_landmarks"], dtype=np.float32).reshape(5, 2),
    )


def _decode(name: str, face: Face) -> UInt8:
    picture = cv2.imdecode(np.frombuffer(face.crop, dtype=np.uint8), cv2.IMREAD_COLOR) if face.crop else None
    if picture is None:
        raise ArtifactError(
            f"the kept crop of {name!r} from {face.episode} (detection {face.det_id}) is no picture. "
            "Remove that face from the facebank, or add it again from its episode."
        )
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8)


def _metadata(embedder: EmbedderId) -> dict[str, str]:
    return {_EMBEDDER_KEY: embedder.to_json()}


def _embedder_of(faces: pa.Table, path: Path) -> EmbedderId:
    try:
        return EmbedderId.from_json((faces.schema.metadata or {})[_EMBEDDER_KEY.encode()])
    except (KeyError, ValueError) as e:
        raise ArtifactError(f"{path} does not say which embedder filled it. Restore it from a backup.") from e
