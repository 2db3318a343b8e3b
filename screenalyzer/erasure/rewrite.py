"""The files of an episode without somebody: each is written anew if it holds something that is to go."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screenalyzer import artifacts, facebank
from screenalyzer.artifacts import (
    EpisodePaths,
    read_csv,
    read_json,
    read_table,
    write_csv,
    write_json,
    write_table,
)
from screenalyzer.erasure import erased
from screenalyzer.erasure.plan import Plan
from screenalyzer.people import NUMBERS_KEY, numbers_of
from screenalyzer.schemas import (
    CHUNK_FACES,
    CLUSTERS,
    DETECTIONS,
    EMBEDDINGS,
    MEMBERS,
    TOTALS,
)
from screenalyzer.types import Bool

_OF_THE_SCHEMA = (b"schema", b"schema_version")


def results(paths: EpisodePaths, plan: Plan) -> None:
    """timeline.csv, totals.csv and totals.parquet, whose other rows stay to the letter."""
    for path in (paths.timeline, paths.totals_csv):
        if path.exists():
            rows = read_csv(path)
            kept = [r for r in rows if not is_theirs(plan, r["person_name"])]
            if len(kept) < len(rows):
                write_csv(path, list(rows[0]), (list(r.values()) for r in kept))
    if paths.totals_parquet.exists():
        table = read_table(paths.totals_parquet, TOTALS)
        keep = np.array([not is_theirs(plan, n) for n in table["person_name"].to_pylist()], dtype=bool)
        write_kept(paths.totals_parquet, table, keep, TOTALS)


def groups(paths: EpisodePaths, plan: Plan) -> None:
    """What names clusters and tracks as they were found: samples, members, clusters, tracks."""
    if paths.selected_samples.exists():
        rows, gone = read_csv(paths.selected_samples), {*plan.track_ids, *plan.det_ids}
        kept = [r for r in rows if gone.isdisjoint((r["track_id"], Path(r["crop_path"]).stem))]
        if len(kept) < len(rows):
            write_csv(paths.selected_samples, list(rows[0]), (list(r.values()) for r in kept))
    if paths.members.exists():
        table = read_table(paths.members, MEMBERS)
        lost = in_column(table, "cluster_id", plan.found_ids) | in_column(table, "track_id", plan.track_ids)
        write_kept(paths.members, table, ~lost, MEMBERS)
    if paths.clusters.exists():
        _clusters(paths, plan)
    _tracks(paths, plan)


def faces(paths: EpisodePaths, plan: Plan) -> None:
    """Faces in embeddings, detections and the chunks.

    A face that the embeddings know goes by its id. One that they do not know, as a chunk of other settings
    may hold it, goes by where it was.
    """
    known = set(plan.det_ids)
    if paths.embeddings.exists():
        table = read_table(paths.embeddings, EMBEDDINGS)
        known |= set(table["det_id"].to_pylist())
        write_kept(paths.embeddings, table, ~in_column(table, "det_id", plan.det_ids), EMBEDDINGS)
    gone = erased.load(paths)
    for folder, pattern, schema in (
        (paths.detections, "part-*.parquet", DETECTIONS),
        (paths.chunks, "faces-*.parquet", CHUNK_FACES),
    ):
        for path in sorted(folder.glob(pattern)):
            table = read_table(path, schema)
            there = erased.matches(gone, table["ts_ms"].to_numpy(), erased.boxes_of(table))
            lost = in_column(table, "det_id", plan.det_ids) | (there & ~in_column(table, "det_id", known))
            write_kept(path, table, ~lost, schema)


def good_markers(paths: EpisodePaths) -> tuple[str, ...]:
    """Markers that vouch for each of their outputs, from the folder of outputs."""
    found = [*sorted(paths.chunks.glob("done-*.json")), *sorted(paths.marker("x").parent.glob("*.json"))]
    return tuple(m.relative_to(paths.outputs).as_posix() for m in found if _vouches(m))


def vouch(paths: EpisodePaths, plan: Plan) -> None:
    """Let markers that were good before vouch for the new bytes; what they were made from stays the same."""
    for name in plan.markers:
        marker = paths.outputs / name
        made_from = artifacts.recorded_fingerprint(marker)
        if made_from is not None and not _vouches(marker):
            listed = (marker.parent / p for p in read_json(marker)["outputs"])
            artifacts.mark_done(marker, made_from, [p for p in listed if p.exists()])


def _vouches(marker: Path) -> bool:
    made_from = artifacts.recorded_fingerprint(marker)
    return made_from is not None and artifacts.is_done(marker, made_from)


def is_theirs(plan: Plan, name: str) -> bool:
    """Whether somebody of this name goes, or a group that is shown under it."""
    return facebank.person_id(name.strip()) in {plan.person_id, *plan.shown_ids}


def in_column(table: pa.Table, column: str, values: Iterable[str]) -> Bool:
    """Which rows have one of the values in a column: bool[n]."""
    chosen = pc.is_in(table[column], value_set=pa.array(sorted(values), pa.string()))
    return np.asarray(chosen.to_numpy(zero_copy_only=False), dtype=bool)


def write_kept(
    path: Path, table: pa.Table, keep: Bool, schema: pa.Schema, more: Mapping[str, str] | None = None
) -> None:
    """Write the rows to keep, with the table's own metadata; nothing where all are."""
    if keep.all():
        return
    found = {k: v for k, v in (table.schema.metadata or {}).items() if k not in _OF_THE_SCHEMA}
    metadata = {**{k.decode(): v.decode() for k, v in found.items()}, **(more or {})}
    write_table(path, table.filter(pa.array(keep)), schema, metadata)


def _clusters(paths: EpisodePaths, plan: Plan) -> None:
    """Clusters that stay count the members that are left, and show the best sample of these.

    One that bears the name and has somebody else's tracks, because people said so, loses the name alone.
    """
    rows = read_table(paths.clusters, CLUSTERS).to_pylist()
    for row in rows:
        if is_theirs(plan, row["name"] or ""):
            row |= {"name": None, "named_by": None}
    left = [r for r in rows if r["cluster_id"] not in plan.found_ids]
    write_clusters(paths, paths.clusters, left, read_table(paths.members, MEMBERS), plan)


def write_clusters(
    paths: EpisodePaths, path: Path, rows: list[dict[str, Any]], members: pa.Table, plan: Plan
) -> None:
    """Write a table of clusters without those that are gone; nothing where nothing is another.

    Args:
        paths: the episode.
        path: of the table.
        rows: of it, with their names as they are to be; those that are gone left out.
        members: that are left, with the columns cluster_id and track_id.
        plan: what goes.
    """
    table = read_table(path, CLUSTERS)
    tracks: dict[str, set[str]] = {}
    for m in members.select(["cluster_id", "track_id"]).to_pylist():
        tracks.setdefault(m["cluster_id"], set()).add(m["track_id"])
    samples = read_csv(paths.selected_samples) if paths.selected_samples.exists() else []
    for row in rows:
        own = tracks.get(row["cluster_id"], ())
        if Path(row["rep_crop"] or "").stem in plan.det_ids:
            best = max(
                (s for s in samples if s["track_id"] in own),
                key=lambda s: (float(s["quality"]), s["crop_path"]),
                default=None,
            )
            row["rep_crop"] = best["crop_path"] if best else None
        if plan.piece_ids:
            row["member_count"] = len(own)
    fitted = pa.Table.from_pylist(rows, CLUSTERS.remove_metadata())
    if fitted.equals(table.replace_schema_metadata(None)):
        return
    numbers = (table.schema.metadata or {}).get(NUMBERS_KEY.encode())
    if fitted["name"].to_pylist() != table["name"].to_pylist():
        kept = {r["cluster_id"] for r in rows}
        left = {c: n for c, n in numbers_of(table).items() if c in kept}
        numbers = json.dumps(left, sort_keys=True).encode()
    write_table(path, fitted, CLUSTERS, {NUMBERS_KEY: numbers.decode()} if numbers else None)


def _tracks(paths: EpisodePaths, plan: Plan) -> None:
    """Tracks that stay begin, end and count as what is left of them."""
    if not paths.tracks.exists():
        return
    found, gone = read_json(paths.tracks), set(plan.track_ids)
    times = _times(paths, plan)
    kept = [
        _fitted(t, *times.get(t["track_id"], ([], []))) for t in found["tracks"] if t["track_id"] not in gone
    ]
    if kept != found["tracks"]:
        write_json(paths.tracks, {**found, "tracks": kept})


def _times(paths: EpisodePaths, plan: Plan) -> dict[str, tuple[list[int], list[int]]]:
    """When the tracks that lose some of their faces are seen, before and after; ascending."""
    if not paths.embeddings.exists():
        return {}
    table = read_table(paths.embeddings, EMBEDDINGS, ["det_id", "track_id", "ts_ms"])
    mine, found = set(plan.det_ids), dict[str, tuple[list[int], list[int]]]()
    for row in table.to_pylist():
        if row["track_id"] is not None:
            before, after = found.setdefault(row["track_id"], ([], []))
            before.append(row["ts_ms"])
            if row["det_id"] not in mine:
                after.append(row["ts_ms"])
    return {t: times for t, times in found.items() if len(times[0]) > len(times[1]) > 0}


def _fitted(track: dict[str, Any], before: Sequence[int], after: Sequence[int]) -> dict[str, Any]:
    if not after or track["count"] == len(after):
        return track
    end_ms = track["end_ms"] - (before[-1] - after[-1])
    return {**track, "start_ms": after[0], "end_ms": end_ms, "count": len(after)}
