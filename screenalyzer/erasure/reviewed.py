"""What people left of an episode without somebody: the record of the review, and what was made with it."""

import numpy as np
import pyarrow as pa

from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.erasure.plan import Plan
from screenalyzer.erasure.rewrite import in_column, is_theirs, write_clusters, write_kept
from screenalyzer.review import record
from screenalyzer.review.keys import Said
from screenalyzer.review.record import ReviewRecord
from screenalyzer.schemas import CLUSTERS, LOW_CONFIDENCE, MERGE_SUGGESTIONS, REVIEWED_MEMBERS
from screenalyzer.types import Bool


def decisions(paths: EpisodePaths, plan: Plan) -> None:
    """The record: everything that is about the person goes, and every other decision stays."""
    if not paths.review_record.exists():
        return
    found = record.load(paths)
    left = without(found, plan)
    if left != found:
        left.save(paths)


def without(found: ReviewRecord, plan: Plan) -> ReviewRecord:
    """A record without the person: neither their name, nor their groups and pieces, nor where these were."""
    said, people = Said.of(found.decisions), set(plan.people_ids)
    groups = {*plan.cluster_ids, *(g for g, p in said.person.items() if p in people)}
    pieces = {*plan.piece_ids, *(p for p, g in said.pins.items() if g in groups)}
    spans = {s.span_id for s in said.spans.values() if s.person in people}

    def goes(key: str) -> bool:
        kind, owner, *rest = key.split("/")
        match kind:
            case "piece":
                return owner in pieces or (rest[0] == "not" and rest[1] in people)
            case "apart":
                return owner in pieces or rest[0] in pieces
            case "group":
                return owner in groups
            case "span":
                return owner in spans
        return False

    return ReviewRecord(
        found.revision,
        {k: v for k, v in found.decisions.items() if not goes(k)},
        tuple(p for p in found.people if p.person_id not in people),
        {k: a for k, a in found.anchors.items() if k not in pieces},
    )


def tables(paths: EpisodePaths, plan: Plan) -> None:
    """Groups with their members, suggestions and what is to be looked at; the latter two ranked anew."""
    if paths.merge_suggestions.exists():
        table = read_table(paths.merge_suggestions, MERGE_SUGGESTIONS)
        sides = (in_column(table, side, plan.cluster_ids) for side in ("cluster_a", "cluster_b"))
        keep = ~np.logical_or(*sides)
        write_kept(paths.merge_suggestions, _ranked(table, keep), keep, MERGE_SUGGESTIONS)
    if paths.low_confidence.exists():
        table = read_table(paths.low_confidence, LOW_CONFIDENCE)
        gone = {*plan.piece_ids, *plan.track_ids}
        theirs = [not gone.isdisjoint(ids) for ids in table["track_ids"].to_pylist()]
        keep = ~(in_column(table, "cluster_id", plan.cluster_ids) | np.array(theirs, dtype=bool))
        write_kept(paths.low_confidence, _ranked(table, keep), keep, LOW_CONFIDENCE)
    if paths.reviewed_clusters.exists():
        _groups(paths, plan)


def _groups(paths: EpisodePaths, plan: Plan) -> None:
    """Also where they are of an earlier run, and of no use any more: then what bears the name goes."""
    rows = read_table(paths.reviewed_clusters, CLUSTERS).to_pylist()
    gone = {*plan.cluster_ids, *(r["cluster_id"] for r in rows if is_theirs(plan, r["name"] or ""))}
    members = read_table(paths.reviewed_members, REVIEWED_MEMBERS)
    lost = in_column(members, "cluster_id", gone)
    for column, ids in (("track_id", {*plan.piece_ids, *plan.track_ids}), ("part_of", set(plan.track_ids))):
        lost |= in_column(members, column, ids)
    left = members.filter(pa.array(~lost))
    kept = [r for r in rows if r["cluster_id"] not in gone]
    # The table of clusters tells which members go where there is no other sign: it is written last.
    write_kept(paths.reviewed_members, members, ~lost, REVIEWED_MEMBERS)
    write_clusters(paths, paths.reviewed_clusters, kept, left, plan)


def _ranked(table: pa.Table, keep: Bool) -> pa.Table:
    ranks = np.zeros(len(table), dtype=np.int32)
    ranks[keep] = np.arange(1, keep.sum() + 1)
    return table.set_column(table.schema.get_field_index("rank"), "rank", pa.array(ranks))
