"""What tells that somebody was here: hashes of faces as numbers and as pictures, of files, and words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.erasure.belongings import belongings
from screenalyzer.erasure.groups import known_as
from screenalyzer.erasure.needles import probe_of
from screenalyzer.erasure.person import name_of
from screenalyzer.errors import ArtifactError
from screenalyzer.schemas import CHUNK_FACES, EMBEDDINGS

_KINDS = ("vectors", "crops", "digests", "words", "probes")


@dataclass(frozen=True)
class Traces:
    """What may be found nowhere after an erasure. Hashes are sha256 in hexadecimal.

    Attributes:
        vectors: of the little-endian float32 bytes of each embedding.
        crops: of the bytes of each picture of a face.
        digests: of whole files, as of a video.
        words: texts themselves, as a person's name.
        probes: how to find each of the vectors and crops within other bytes, see `needles.probe_of`.
    """

    vectors: frozenset[str] = frozenset()
    crops: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()

    @classmethod
    def of_bytes(
        cls, vectors: Iterable[bytes | memoryview] = (), crops: Iterable[bytes | memoryview] = ()
    ) -> "Traces":
        """Of the bytes themselves."""
        both = [{sha256(i).hexdigest(): i for i in items} for items in (vectors, crops)]
        probes = (probe_of(i, d) for items in both for d, i in items.items())
        return cls(
            vectors=frozenset(both[0]), crops=frozenset(both[1]), probes=frozenset(p for p in probes if p)
        )

    def __or__(self, other: "Traces") -> "Traces":
        """All of both."""
        return Traces(*(getattr(self, k) | getattr(other, k) for k in _KINDS))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, k) for k in _KINDS)

    def to_json(self) -> dict[str, list[str]]:
        """Plain data, sorted."""
        return {k: sorted(getattr(self, k)) for k in _KINDS}

    @classmethod
    def from_json(cls, found: Any) -> "Traces":
        """Read it back.

        Raises:
            ArtifactError: it is not what `to_json` gave.
        """
        try:
            return cls(*(frozenset(str(v) for v in found[k]) for k in _KINDS))
        except (KeyError, TypeError) as e:
            raise ArtifactError(f"the note of what is to be erased is damaged ({e!r}).") from e


def of_episode(paths: EpisodePaths) -> Traces:
    """The faces of everybody in an episode, as far as it was processed, and those the facebank took of it.

    Raises:
        ArtifactError: a table is damaged.
    """
    bank = facebank.load(paths.facebank)
    kept = [f for faces in bank.people.values() for f in faces] if bank else []
    own = [f for f in kept if f.episode in (paths.episode, paths.key)]
    return _of_tables(paths, None) | _of_pictures(paths, None) | of_faces(own)


def of_person(root: Path, show: str, episodes: Sequence[EpisodePaths], person_id: str) -> Traces:
    """The faces of one person of a show, and their name; nothing for a stranger.

    Args:
        root: the data root.
        show: its name as a path.
        episodes: where to look for clusters that bear the name.
        person_id: see `facebank.person_id`.

    Raises:
        ArtifactError: the facebank or a table is damaged.
    """
    name = name_of(root, show, person_id, episodes)
    if name is None:
        return Traces()
    found = Traces(words=frozenset({name}))
    bank = facebank.load(EpisodePaths(root, show, "").facebank)
    for known, faces in bank.people.items() if bank else ():
        if facebank.person_id(known.strip()) == person_id:
            found |= of_faces(faces)
    for paths in episodes:
        also = known_as(paths, name).names
        found |= Traces(words=also)
        det_ids = set(belongings(paths, name, also).det_ids)
        if det_ids:
            found |= _of_tables(paths, det_ids) | _of_pictures(paths, det_ids)
    return found


def of_faces(faces: Iterable[facebank.Face]) -> Traces:
    """Kept faces of a facebank."""
    held = list(faces)
    vectors = (f.embedding.astype("<f4").tobytes() for f in held)
    return Traces.of_bytes(vectors, (f.crop for f in held if f.crop))


def digests(items: Iterable[bytes | memoryview]) -> frozenset[str]:
    """The sha256 of each, in hexadecimal."""
    return frozenset(sha256(i).hexdigest() for i in items)


def vectors_of(column: pa.Array | pa.ChunkedArray) -> Iterator[memoryview]:
    """The little-endian bytes of each row of a column of lists of float32; null rows are left out."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        held = chunk.drop_null()
        values = np.ascontiguousarray(held.flatten().to_numpy(zero_copy_only=False), dtype="<f4")
        raw = memoryview(values.tobytes())
        ends = np.cumsum(pc.list_value_length(held).to_numpy(zero_copy_only=False)) * 4
        start = 0
        for end in ends.tolist():
            yield raw[start:end]
            start = end


def _of_tables(paths: EpisodePaths, det_ids: set[str] | None) -> Traces:
    """Vectors and crops in the chunks and the embeddings, of all faces or of some."""
    found = Traces()
    for path in sorted(paths.chunks.glob("faces-*.parquet")):
        table = _some(read_table(path, CHUNK_FACES, ["det_id", "embedding", "crop"]), det_ids)
        crops = (c for c in table["crop"].to_pylist() if c)
        found |= Traces.of_bytes(vectors_of(table["embedding"]), crops)
    if paths.embeddings.exists():
        table = _some(read_table(paths.embeddings, EMBEDDINGS, ["det_id", "embedding"]), det_ids)
        found |= Traces.of_bytes(vectors_of(table["embedding"]))
    return found


def _of_pictures(paths: EpisodePaths, det_ids: set[str] | None) -> Traces:
    files = [p for p in sorted(paths.crops.glob("*.jpg")) if det_ids is None or p.stem in det_ids]
    return Traces.of_bytes(crops=(p.read_bytes() for p in files))


def _some(table: pa.Table, det_ids: set[str] | None) -> pa.Table:
    if det_ids is None:
        return table
    return table.filter(pc.is_in(table["det_id"], value_set=pa.array(sorted(det_ids), pa.string())))
