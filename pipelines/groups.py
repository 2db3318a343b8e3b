"""Tables of groups: clusters and members as the cluster stage found them, and as people left them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pyarrow as pa

from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.model import Cluster
from screenalyzer.people import NUMBERS_KEY
from screenalyzer.review.desk import Desk


@dataclass(frozen=True)
class Crops:
    """The kept pictures of an episode.

    Attributes:
        paths: the episode.
        by_track: quality and path below the data root of each, by track id.
    """

    paths: EpisodePaths
    by_track: Mapping[str, Sequence[tuple[float, str]]]

    @classmethod
    def of(cls, paths: EpisodePaths) -> "Crops":
        """Those that the samples list.

        Raises:
            ArtifactError: there is no list.
        """
        found: dict[str, list[tuple[float, str]]] = {}
        for row in artifacts.read_csv(paths.selected_samples):
            found.setdefault(row["track_id"], []).append((float(row["quality"]), row["crop_path"]))
        return cls(paths, found)

    def path_of(self, det_id: str) -> Path:
        """Where the picture of a detection lies, if it is kept."""
        return self.paths.crops / f"{det_id}.jpg"

    def best(self, det_id: str, track_ids: Sequence[str]) -> str | None:
        """The picture of a detection, else the best one of the tracks; None where there is none.

        The list tells what was kept: pictures may have gone since, and tables must not change with them.
        """
        wanted = self.paths.relative(self.path_of(det_id))
        listed = [c for t in track_ids for c in self.by_track.get(t, ())]
        if any(path == wanted for _, path in listed):
            return wanted
        return max(listed, default=(0.0, None))[1]


def write_groups(paths: EpisodePaths, clusters: Sequence[Cluster], given: Mapping[str, str]) -> list[Path]:
    """Write the clusters as they were found, and their members; returns the files.

    Args:
        paths: the episode.
        clusters: rows, in their order.
        given: numbers that groups were given in a review. The other clusters are numbered as without these.

    Raises:
        ArtifactError: there is no list of samples.
    """
    crops = Crops.of(paths)
    reps = [crops.best(c.rep_det_id, [m.track_id for m in c.members]) for c in clusters]
    numbers = _numbers([c.cluster_id for c in clusters], given)
    metadata = {NUMBERS_KEY: json.dumps(numbers, sort_keys=True)} if given else None
    artifacts.write_table(paths.clusters, _clusters(clusters, reps), schemas.CLUSTERS, metadata)
    rows = [
        {"cluster_id": c.cluster_id, "track_id": m.track_id, "score": m.score}
        for c in clusters
        for m in c.members
    ]
    members = pa.Table.from_pylist(rows, schema=schemas.MEMBERS.remove_metadata())
    artifacts.write_table(paths.members, members, schemas.MEMBERS)
    return [paths.clusters, paths.members]


def _numbers(cluster_ids: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    taken = set(given.values())
    free = (n for n in map("{:02d}".format, count(1)) if n not in taken)
    return {c: given[c] if c in given else next(free) for c in cluster_ids}


def write_assistance(paths: EpisodePaths, desk: Desk) -> list[Path]:
    """Write the groups as people left them, and what they should look at next; returns the files.

    Raises:
        ArtifactError: there is no list of samples.
    """
    crops, found = Crops.of(paths), desk.reviewed_clustering()
    group_of = {m.track_id: c.cluster_id for c in found.clusters for m in c.members}
    _write_reviewed(paths, desk, found.clusters, crops)
    first = {e.entity_id: e.group_ids[0] for e in desk.entities() if e.group_ids}
    pairs = [
        {
            "cluster_a": first[s.entity_a],
            "cluster_b": first[s.entity_b],
            "similarity": s.probability,
            "rank": s.rank,
        }
        for s in desk.suggestions()
    ]
    doubts = [
        {
            "cluster_id": group_of[d.piece_ids[0]],
            "track_ids": list(d.piece_ids),
            "reason": d.reason,
            "seconds": d.seconds,
            "uncertainty": d.uncertainty,
            "priority": d.priority,
            "rank": rank,
            "rep_crop": crops.best(d.rep_det_id, [desk.pieces[p].track_id for p in d.piece_ids]),
        }
        for rank, d in enumerate(desk.doubts(), start=1)
    ]
    for path, schema, rows in (
        (paths.merge_suggestions, schemas.MERGE_SUGGESTIONS, pairs),
        (paths.low_confidence, schemas.LOW_CONFIDENCE, doubts),
    ):
        table = pa.Table.from_pylist(rows, schema=schema.remove_metadata())
        artifacts.write_table(path, table, schema)
    return [paths.reviewed_clusters, paths.reviewed_members, paths.merge_suggestions, paths.low_confidence]


def _write_reviewed(paths: EpisodePaths, desk: Desk, clusters: Sequence[Cluster], crops: Crops) -> None:
    """The tables of groups; a part of a track, and what is left of it, says which detections it is."""
    reps = []
    rows = []
    for c in clusters:
        pieces = [desk.pieces[m.track_id] for m in c.members]
        reps.append(crops.best(c.rep_det_id, [p.track_id for p in pieces]))
        for m, piece in zip(c.members, pieces, strict=True):
            dets = None if piece.whole else [str(d) for d in desk.base.obs.det_id[piece.members]]
            part_of = piece.track_id if piece.piece_id != piece.track_id else None
            rows.append(
                {
                    "cluster_id": c.cluster_id,
                    "track_id": m.track_id,
                    "score": m.score,
                    "part_of": part_of,
                    "det_ids": dets,
                }
            )
    shown = {g: e.name for e in desk.entities() if e.kind == "group" for g in e.group_ids}
    numbers = {
        c.cluster_id: shown[c.cluster_id].removeprefix("Person ")
        if c.cluster_id in shown
        else desk.base.numbers.get(c.cluster_id, c.cluster_id[:4])
        for c in clusters
    }
    metadata = {NUMBERS_KEY: json.dumps(numbers, sort_keys=True)}
    artifacts.write_table(paths.reviewed_clusters, _clusters(clusters, reps), schemas.CLUSTERS, metadata)
    members = pa.Table.from_pylist(rows, schema=schemas.REVIEWED_MEMBERS.remove_metadata())
    artifacts.write_table(paths.reviewed_members, members, schemas.REVIEWED_MEMBERS)


def _clusters(clusters: Sequence[Cluster], reps: Sequence[str | None]) -> pa.Table:
    return pa.table(
        {
            "cluster_id": [c.cluster_id for c in clusters],
            "name": pa.array([c.name for c in clusters], pa.string()),
            "member_count": [len(c.members) for c in clusters],
            "intra_variance": [c.intra_variance for c in clusters],
            "rep_crop": pa.array(reps, pa.string()),
            "low_conf": [c.low_conf for c in clusters],
            "reason": [c.reason for c in clusters],
            "named_by": pa.array([c.named_by for c in clusters], pa.string()),
            "face_score": [c.face_score for c in clusters],
        },
        schema=schemas.CLUSTERS.remove_metadata(),
    )
