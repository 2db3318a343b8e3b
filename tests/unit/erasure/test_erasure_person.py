"""A person is erased from a processed episode: nothing of them is left, nobody else is touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.erasing import GONE, STAYS, crops_of, name_two, places_of, rows_of, tree, vectors_of
from support.processed import Machine

from pipelines.episode import load_clustering, load_detections, load_tracked
from screenalyzer import facebank, schemas
from screenalyzer.artifacts import EpisodePaths, read_table, write_table
from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.erasure import erased, person
from screenalyzer.erasure.belongings import belongings
from screenalyzer.errors import ArtifactError, InputError
from screenalyzer.exports import export
from screenalyzer.people import display_names
from screenalyzer.plot import plot_timeline
from screenalyzer.results import read_rules, read_timeline, read_totals
from screenalyzer.settings import Settings


@pytest.fixture(scope="module")
def named(
    processed: EpisodePaths, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> EpisodePaths:
    """An episode with two named people and all exports, to be copied."""
    root = tmp_path_factory.mktemp("named") / "root"
    shutil.copytree(processed.root, root)
    paths = EpisodePaths(root, processed.show, processed.episode)
    name_two(paths, machine)
    for kind in ("csv", "xlsx"):
        export(paths, kind)
    plot_timeline(paths, paths.exports / "timeline.png")
    return paths


@pytest.fixture
def episode(named: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """A copy, to be changed."""
    return _copy(named, tmp_path / "root")


def _copy(paths: EpisodePaths, root: Path) -> EpisodePaths:
    shutil.copytree(paths.root, root)
    return EpisodePaths(root, paths.show, paths.episode)


def _erase_all(paths: EpisodePaths) -> person.Erased:
    found = person.erase(paths, GONE)
    person.erase_from_facebank(paths.root, paths.show, facebank.person_id(GONE))
    return found


def _kill(paths: EpisodePaths, folder: Path, every: int) -> int:
    """Copies of the data root below a folder, in each of which an erasure was killed at another moment."""
    folder.mkdir()
    words = [str(paths.root), paths.show, paths.episode, str(folder), GONE, str(every)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "support.erase_kills", *words]
    return int(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)


def _changed(settings: Settings, group: str, **values: object) -> Settings:
    return settings.model_copy(update={group: getattr(settings, group).model_copy(update=values)})


def _nearest(paths: EpisodePaths, vectors: np.ndarray) -> float:
    """Highest cosine similarity of any face of the episode to some vectors; all are unit vectors."""
    held = np.array(pq.read_table(paths.embeddings)["embedding"].to_pylist(), dtype=np.float32)
    return float((held @ vectors.T).max()) if len(held) else -1.0


def test_nothing_of_them_is_left_in_any_byte(episode: EpisodePaths) -> None:
    ids = rows_of(episode, GONE)
    vectors = [v.astype("<f4").tobytes() for v in vectors_of(episode, ids)]
    crops, name = crops_of(episode, ids), GONE.encode()
    assert len(vectors) == len(crops) == len(ids) > 10
    kinds = {Path(p).parts[0] for p in places_of(episode.root, [*vectors, *crops, name])}
    assert kinds == {"harvest", "outputs", "facebank"}
    ours = {i.encode() for i in ids} | {c["cluster_id"].encode() for c in _clusters(episode, GONE)}
    found = _erase_all(episode)
    assert found.faces >= len(ids)
    assert found.clusters == 1
    assert places_of(episode.root, [*vectors, *crops, name, *ours]) == []


def test_the_others_keep_their_names_times_and_totals(episode: EpisodePaths) -> None:
    names = display_names(read_table(episode.clusters, schemas.CLUSTERS))
    totals, rows, rules = read_totals(episode), read_timeline(episode), read_rules(episode)
    assert {GONE, STAYS} < set(names.values())
    assert list(names.values()).index(GONE) < len(names) - 1
    _erase_all(episode)
    left = {c: n for c, n in names.items() if n != GONE}
    assert display_names(read_table(episode.clusters, schemas.CLUSTERS)) == left
    assert read_totals(episode) == [t for t in totals if t.person != GONE]
    assert read_timeline(episode) == [i for i in rows if i.person != GONE]
    assert read_rules(episode) == rules
    assert f"\n{GONE}," not in episode.totals_csv.read_text()


def test_the_episode_stays_whole(episode: EpisodePaths, machine: Machine) -> None:
    person.erase(episode, GONE)
    tracked, found = load_tracked(episode), load_clustering(episode)
    assert {t.track_id for t in tracked.tracks} == {m.track_id for c in found.clusters for m in c.members}
    assert list(tracked.obs.det_id) == load_detections(episode)["det_id"].to_pylist()
    crops = {p.relative_to(episode.root).as_posix() for p in episode.crops.iterdir()}
    assert {c["rep_crop"] for c in pq.read_table(episode.clusters).to_pylist()} <= crops
    ranks = pq.read_table(episode.merge_suggestions)["rank"].to_pylist()
    assert ranks == list(range(1, len(ranks) + 1))
    for kind in ("csv", "xlsx"):
        assert export(episode, kind)
    plot_timeline(episode, episode.exports / "timeline.png")
    assert list(machine.read(episode)) == []  # each chunk is still done
    assert machine.stages(episode) == []  # so is each stage


def test_twice_is_once(episode: EpisodePaths) -> None:
    _erase_all(episode)
    before = tree(episode.root)
    assert person.erase(episode, GONE) == person.Erased(0, 0, 0)
    assert person.erase_from_facebank(episode.root, episode.show, facebank.person_id(GONE)) == 0
    assert person.erase(episode, "Nobody") == person.Erased(0, 0, 0)
    assert tree(episode.root) == before


def test_killed_at_any_moment_the_next_call_ends_with_the_same_bytes(
    named: EpisodePaths, episode: EpisodePaths, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    assert _kill(named, folder, every=2) > 20
    _erase_all(episode)
    wanted, untouched = tree(episode.root), tree(named.root)
    states = set()
    for root in sorted(folder.iterdir()):
        states.add(tuple(sorted(tree(root).items())))
        _erase_all(EpisodePaths(root, named.show, named.episode))
        assert tree(root) == wanted, root.name
        shutil.rmtree(root)
    assert len(states) > 20
    assert wanted != untouched


def test_a_killed_erasure_of_another_person_is_brought_to_its_end_first(
    named: EpisodePaths, episode: EpisodePaths, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    _kill(named, folder, every=25)
    half = EpisodePaths(folder / "0001", named.show, named.episode)
    assert half.erasing.exists()
    person.erase(half, STAYS)
    for name in (GONE, STAYS):
        person.erase(episode, name)
    assert tree(half.outputs) == tree(episode.outputs)


def test_an_empty_name_is_refused(episode: EpisodePaths) -> None:
    with pytest.raises(InputError, match="empty name"):
        person.erase(episode, " ")


def test_everybody_can_be_erased(episode: EpisodePaths) -> None:
    person.erase(episode, STAYS)
    person.erase(episode, GONE)
    assert {STAYS, GONE}.isdisjoint(t.person for t in read_totals(episode))
    names = display_names(read_table(episode.clusters, schemas.CLUSTERS))
    assert {t.person for t in read_totals(episode)} <= set(names.values())
    assert not episode.erasing.exists()


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("rules", {}),
        ("video", {"sample_fps": 7.0}),
        ("detect", {"min_face_px": 30}),
    ],
)
def test_they_do_not_come_back(
    episode: EpisodePaths, machine: Machine, group: str, values: dict[str, object]
) -> None:
    vectors = vectors_of(episode, rows_of(episode, GONE))
    others = vectors_of(episode, rows_of(episode, STAYS))
    _erase_all(episode)
    nearest = _nearest(episode, vectors)
    settings = _changed(machine.settings, group, **values)
    before = load_detections(episode)
    shutil.rmtree(episode.chunks)
    for row in machine.read(episode, settings):
        assert not row["error"]
    machine.stages(episode, settings)
    again = load_detections(episode)
    limit = 1 - calibration_of(machine.embedder.id).identify
    assert nearest < limit
    assert _nearest(episode, vectors) < limit
    assert _nearest(episode, others) > 0.99
    if not values:
        assert again.equals(before)


def test_a_second_box_on_their_face_goes_with_them(episode: EpisodePaths) -> None:
    own = belongings(episode, GONE)
    rows = pq.read_table(episode.embeddings).to_pylist()
    theirs = next(r for r in rows if r["det_id"] in own.det_ids)
    x1, y1, x2, y2 = theirs["bbox"]
    double = {**theirs, "det_id": "double", "track_id": None, "bbox": [x1 + 5, y1 + 5, x2 + 5, y2 + 5]}
    double["embedding"] = [-v for v in theirs["embedding"]]  # or they would be faces that the facebank keeps
    beside = {**double, "det_id": "beside", "bbox": [x2 + 1, y1, x2 + (x2 - x1), y2]}
    later = {**double, "det_id": "later", "ts_ms": theirs["ts_ms"] + 1}
    table = pa.Table.from_pylist([*rows, double, beside, later], schemas.EMBEDDINGS.remove_metadata())
    write_table(episode.embeddings, table, schemas.EMBEDDINGS)
    assert set(belongings(episode, GONE).det_ids) == {*own.det_ids, "double"}


def test_a_face_of_other_settings_goes_by_where_it_was(episode: EpisodePaths) -> None:
    rows = read_table(episode.chunk_faces(4), schemas.CHUNK_FACES)
    own = belongings(episode, GONE).det_ids
    unknown = [{**r, "det_id": f"other-{r['det_id']}"} for r in _faces(episode)]
    stale = pa.Table.from_pylist(unknown, rows.schema.remove_metadata())
    write_table(episode.chunk_faces(99), stale, schemas.CHUNK_FACES)
    person.erase(episode, GONE)
    left = set(read_table(episode.chunk_faces(99), schemas.CHUNK_FACES)["det_id"].to_pylist())
    assert left == {r["det_id"] for r in unknown} - {f"other-{d}" for d in own}


def test_another_video_of_the_same_name_loses_nobody(episode: EpisodePaths) -> None:
    person.erase(episode, GONE)
    assert erased.load(episode)
    assert not erased.load(episode, "0" * 64)
    episode.purge()
    assert erased.load(episode, _source(episode.erased)).paths


def test_a_damaged_list_of_the_erased_stops_processing(episode: EpisodePaths) -> None:
    person.erase(episode, GONE)
    episode.erased.write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="damaged"):
        erased.load(episode)


def test_the_name_behind_an_id(episode: EpisodePaths) -> None:
    root, show, who = episode.root, episode.show, facebank.person_id(GONE)
    assert person.name_of(root, show, who, []) == GONE
    assert person.erase_from_facebank(root, show, who) > 0
    assert person.name_of(root, show, who, []) is None
    assert person.name_of(root, show, who, [episode]) == GONE
    person.erase(episode, GONE)
    assert person.name_of(root, show, who, [episode]) is None


def _clusters(paths: EpisodePaths, name: str) -> list[dict]:
    return [c for c in pq.read_table(paths.clusters).to_pylist() if c["name"] == name]


def _faces(paths: EpisodePaths) -> list[dict]:
    return [f for p in sorted(paths.chunks.glob("faces-*.parquet")) for f in pq.read_table(p).to_pylist()]


def _source(path: Path) -> str:
    return pq.read_table(path)["source"].to_pylist()[0]
