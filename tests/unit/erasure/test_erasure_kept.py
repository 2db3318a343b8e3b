"""Faces that the facebank keeps of a person go from an episode that was not clustered with it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.erasing import places_of
from support.processed import Machine

from pipelines.episode import load_clustering, load_tracked
from pipelines.stages import assist_episode
from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths, read_table, write_table
from screenalyzer.erasure import person, traces
from screenalyzer.erasure.scan import Finding, scan_files
from screenalyzer.facebank import Face
from screenalyzer.people import display_names
from screenalyzer.results import read_timeline
from screenalyzer.schemas import CLUSTERS, MEMBERS
from screenalyzer.settings import Settings

NAME, OTHER = "Xanthippe Quill", "Yorick Berg"
WHO = facebank.person_id(NAME)


@pytest.fixture
def episode(processed: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """A copy, to be changed; nobody has a name in it."""
    shutil.copytree(processed.root, tmp_path / "root")
    return EpisodePaths(tmp_path / "root", processed.show, processed.episode)


def _tables(paths: EpisodePaths) -> list[tuple[Path, pa.Schema]]:
    return [(paths.clusters, CLUSTERS), (paths.members, MEMBERS)]


def _cluster(paths: EpisodePaths) -> tuple[str, list[str]]:
    """A cluster that the timeline shows, and its tracks."""
    names = display_names(read_table(paths.clusters, CLUSTERS))
    shown = {i.person for i in read_timeline(paths)}
    found = next(c for c in load_clustering(paths).clusters if names[c.cluster_id] in shown)
    return found.cluster_id, [m.track_id for m in found.members]


def _merge_two(paths: EpisodePaths, name: str) -> tuple[str, list[str]]:
    """Make one cluster with a name of two that the timeline shows; its id, and its tracks."""
    first, _ = _cluster(paths)
    rows, members = (read_table(p, s).to_pylist() for p, s in _tables(paths))
    other = next(r["cluster_id"] for r in rows if r["cluster_id"] != first)
    for m in members:
        m["cluster_id"] = first if m["cluster_id"] == other else m["cluster_id"]
    tracks = [m["track_id"] for m in members if m["cluster_id"] == first]
    rows = [r for r in rows if r["cluster_id"] != other]
    for row in rows:
        if row["cluster_id"] == first:
            row |= {"name": name, "member_count": len(tracks)}
    for (path, schema), held in zip(_tables(paths), (rows, members), strict=True):
        write_table(path, pa.Table.from_pylist(held, schema.remove_metadata()), schema)
    assist_episode(paths, Settings())
    return first, tracks


def _keep(paths: EpisodePaths, machine: Machine, track_id: str) -> Face:
    """Put a face of a track into the facebank; the episode is not clustered again."""
    tracked = load_tracked(paths)
    row = int(next(t for t in tracked.tracks if t.track_id == track_id).members[0])
    obs = tracked.obs
    face = Face(
        paths.episode, track_id, str(obs.det_id[row]), obs.embeddings[row], b"a crop of another size",
        np.zeros(4, np.float32), np.zeros((5, 2), np.float32),
    )  # fmt: skip
    facebank.open_for(paths.facebank, machine.embedder.id).add(NAME, [face]).save(paths.facebank)
    return face


def _erase(paths: EpisodePaths) -> tuple[person.Erased, tuple[Finding, ...]]:
    """What goes, and what a scan finds afterwards."""
    seen = traces.of_person(paths.root, paths.show, [paths], WHO)
    gone = person.erase(paths, NAME)
    person.erase_from_facebank(paths.root, paths.show, WHO)
    return gone, scan_files(paths.root, seen, (), lambda *_: None, lambda: False).found


def test_an_unnamed_cluster_that_holds_a_kept_face_goes_whole(
    episode: EpisodePaths, machine: Machine
) -> None:
    cluster_id, track_ids = _cluster(episode)
    names = display_names(read_table(episode.clusters, CLUSTERS))
    face = _keep(episode, machine, track_ids[0])
    ids = {f["det_id"] for f in pq.read_table(episode.embeddings).to_pylist() if f["track_id"] in track_ids}
    shown = {i.person for i in read_timeline(episode)}
    gone, found = _erase(episode)
    assert found == ()
    assert (gone.clusters, gone.tracks) == (1, len(track_ids))
    needles = [face.embedding.astype("<f4").tobytes(), *(i.encode() for i in [cluster_id, *track_ids, *ids])]
    assert places_of(episode.root, needles) == []
    assert {i.person for i in read_timeline(episode)} == shown - {names[cluster_id]}
    left = {c: n for c, n in names.items() if c != cluster_id}
    assert display_names(read_table(episode.clusters, CLUSTERS)) == left
    assert machine.stages(episode) == ["cluster", "assist", "analytics"]  # the facebank is another one


def test_a_cluster_of_somebody_else_loses_only_the_track(episode: EpisodePaths, machine: Machine) -> None:
    cluster_id, track_ids = _merge_two(episode, OTHER)
    before = {c["cluster_id"]: c for c in pq.read_table(episode.clusters).to_pylist()}
    shown = Path(before[cluster_id]["rep_crop"]).stem
    faces = pq.read_table(episode.embeddings).to_pylist()
    (of_shown,) = [f["track_id"] for f in faces if f["det_id"] == shown]
    _keep(episode, machine, of_shown)
    gone, found = _erase(episode)
    assert found == ()
    assert (gone.clusters, gone.tracks) == (0, 1)
    after = {c["cluster_id"]: c for c in pq.read_table(episode.clusters).to_pylist()}
    assert after.keys() == before.keys()
    mine = after.pop(cluster_id)
    assert mine["name"] == OTHER
    assert mine["member_count"] == len(track_ids) - 1
    assert (episode.root / mine["rep_crop"]).is_file()
    assert after == {c: row for c, row in before.items() if c != cluster_id}
    assert {m.track_id for c in load_clustering(episode).clusters for m in c.members} == {
        t.track_id for t in load_tracked(episode).tracks
    }


def test_before_there_are_clusters_it_goes_from_the_checkpoints(
    episode: EpisodePaths, machine: Machine
) -> None:
    _, track_ids = _cluster(episode)
    face = _keep(episode, machine, track_ids[0])
    chunks, source = episode.chunks.relative_to(episode.root), episode.source_json
    kept = EpisodePaths(episode.root.parent / "half", episode.show, episode.episode)
    shutil.copytree(episode.chunks, kept.root / chunks)
    shutil.copytree(episode.facebank, kept.facebank)
    kept.source_json.parent.mkdir(parents=True)
    shutil.copy(source, kept.source_json)
    gone, found = _erase(kept)
    assert found == ()
    assert gone.faces >= 1
    assert places_of(kept.root, [face.det_id.encode(), face.embedding.astype("<f4").tobytes()]) == []


def test_a_face_read_by_another_embedder_goes_by_its_id(episode: EpisodePaths, machine: Machine) -> None:
    _, track_ids = _cluster(episode)
    face = _keep(episode, machine, track_ids[0])
    other = replace(face, embedding=-face.embedding)
    bank = facebank.open_for(episode.facebank, machine.embedder.id)
    bank.remove_person(NAME).add(NAME, [other]).save(episode.facebank)
    _erase(episode)
    assert places_of(episode.root, [face.det_id.encode()]) == []
