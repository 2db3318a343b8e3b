"""A processed episode in which two people have names, and searches that share nothing with the code."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from support.processed import Machine

from pipelines.episode import chunk_faces, load_clustering, load_tracked
from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.facebank import Face
from screenalyzer.people import display_names
from screenalyzer.results import read_totals
from screenalyzer.schemas import CLUSTERS

GONE, STAYS = "Zoë Quist", "Bo Berg"


def name_two(paths: EpisodePaths, machine: Machine) -> None:
    """Name the two people with the most screen time through the facebank, and run what that changes."""
    names = display_names(read_table(paths.clusters, CLUSTERS))
    ranked = [t.person for t in read_totals(paths)]
    clusters = {names[c.cluster_id]: c for c in load_clustering(paths).clusters}
    tracked = load_tracked(paths)
    crops = chunk_faces(paths, ["det_id", "ts_ms", "crop"])
    crop_of = dict(zip(crops["det_id"].to_pylist(), crops["crop"].to_pylist(), strict=True))
    bank = facebank.open_for(paths.facebank, machine.embedder.id)
    for name, person in zip((STAYS, GONE), ranked, strict=False):
        tracks = {m.track_id for m in clusters[person].members}
        rows = [int(r) for t in tracked.tracks if t.track_id in tracks for r in t.members]
        obs = tracked.obs
        bank = bank.add(
            name,
            [
                Face(paths.episode, "t", str(obs.det_id[r]), obs.embeddings[r], crop_of[str(obs.det_id[r])],
                     obs.boxes[r], obs.landmarks[r])
                for r in rows[::4]
            ],
        )  # fmt: skip
    bank.save(paths.facebank)
    machine.stages(paths)


def rows_of(paths: EpisodePaths, name: str) -> set[str]:
    """Detections of the tracks of the clusters that bear a name."""
    clusters = pq.read_table(paths.clusters).to_pylist()
    own = {c["cluster_id"] for c in clusters if c["name"] == name}
    members = pq.read_table(paths.members).to_pylist()
    tracks = {m["track_id"] for m in members if m["cluster_id"] in own}
    faces = pq.read_table(paths.embeddings).to_pylist()
    return {f["det_id"] for f in faces if f["track_id"] in tracks}


def vectors_of(paths: EpisodePaths, det_ids: set[str]) -> np.ndarray:
    """Embeddings of detections, float32[n, d]."""
    faces = pq.read_table(paths.embeddings).to_pylist()
    return np.array([f["embedding"] for f in faces if f["det_id"] in det_ids], dtype=np.float32)


def crops_of(paths: EpisodePaths, det_ids: set[str]) -> list[bytes]:
    """Pictures of detections in the chunks."""
    parts = [pq.read_table(p).to_pylist() for p in sorted(paths.chunks.glob("faces-*.parquet"))]
    return [f["crop"] for part in parts for f in part if f["det_id"] in det_ids]


def places_of(root: Path, needles: list[bytes]) -> list[str]:
    """Every file in which one of some byte strings lies: as it is, or in a cell of a table."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        held = [path.read_bytes()]
        if path.suffix == ".parquet":
            held += [_raw(v) for column in pq.read_table(path).columns for v in column.to_pylist()]
        joined = b"\0".join(held)
        if any(n in joined for n in needles):
            found.append(path.relative_to(root).as_posix())
    return found


def tree(root: Path) -> dict[str, str]:
    """Digest of every file."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _raw(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return "\n".join(value).encode()
        return np.array(value, dtype="<f4").tobytes()
    return str(value).encode()
