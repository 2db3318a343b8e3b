"""A person whom people named is erased: from the record, from what follows it, from within tracks."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.erasing import crops_of, places_of, tree, vectors_of
from support.processed import Machine
from support.reviewing import Review, decide_everything, named

from pipelines.episode import load_tracked
from pipelines.review import load_desk
from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure import person, traces
from screenalyzer.erasure.scan import scan_files
from screenalyzer.results import read_timeline, read_totals
from screenalyzer.review import record
from screenalyzer.review.keys import Said
from screenalyzer.review.operations import Assign, Lock, RenamePerson, Subject

OLD, NAME, PART = "Bartholomew Quist", "Bo Quist", "Fay Zweig"


@pytest.fixture(scope="module")
def reviewed(
    processed: EpisodePaths, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> EpisodePaths:
    """One whose name was another once, and one who is a part of their track only; published."""
    root = tmp_path_factory.mktemp("reviewed") / "root"
    shutil.copytree(processed.root, root)
    paths = EpisodePaths(root, processed.show, processed.episode)
    review = Review.open(paths, machine.settings)
    decide_everything(review)
    people = {p.name: p.person_id for p in review.desk.people.values()}
    review.do(
        Lock(groups=review.desk.entity(people["Ada"]).group_ids, locked=False),
        RenamePerson(person=people["Bo"], name=OLD),
        RenamePerson(person=people["Bo"], name=NAME),
        RenamePerson(person=people["Fay"], name=PART),
    )
    review.publish()
    machine.stages(paths)
    return paths


@pytest.fixture
def episode(reviewed: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """A copy, to be changed."""
    shutil.copytree(reviewed.root, tmp_path / "root")
    return EpisodePaths(tmp_path / "root", reviewed.show, reviewed.episode)


def _erase(paths: EpisodePaths, name: str) -> tuple[person.Erased, tuple[object, ...]]:
    who = facebank.person_id(name)
    seen = traces.of_person(paths.root, paths.show, [paths], who)
    gone = person.erase(paths, name)
    return gone, scan_files(paths.root, seen, (), lambda *_: None, lambda: False).found


@pytest.mark.parametrize("name", [NAME, PART])
def test_nothing_of_them_is_left_and_every_other_decision_is(
    episode: EpisodePaths, machine: Machine, name: str
) -> None:
    before, desk = record.load(episode), load_desk(episode, machine.settings)
    ids = {d for d, n in named(desk).items() if n == name}
    others = {d: n for d, n in named(desk).items() if n != name}
    (who,) = [p.person_id for p in before.people if p.name == name]
    needles = [v.astype("<f4").tobytes() for v in vectors_of(episode, ids)] + crops_of(episode, ids)
    names = [name, *((OLD,) if name == NAME else ())]
    needles += [t.encode() for t in (*names, who, *ids)]
    assert len(ids) > 2
    gone, found = _erase(episode, name)
    assert found == ()
    assert (gone.clusters, gone.faces >= len(ids)) == (1, True)
    assert places_of(episode.root, needles) == []
    after = record.load(episode)
    said, was = Said.of(after.decisions), Said.of(before.decisions)
    theirs = {g for g, p in was.person.items() if p == who}
    pieces = {p for p, g in was.pins.items() if g in theirs}
    assert said.pins == {p: g for p, g in was.pins.items() if p not in pieces}
    assert said.spans == {s: v for s, v in was.spans.items() if v.person != who}
    assert set(after.anchors) == set(before.anchors) - pieces
    assert pieces.isdisjoint(word for key in after.decisions for word in key.split("/"))
    left = load_desk(episode, machine.settings)
    assert named(left) == {d: n for d, n in others.items() if d in named(left)}
    assert set(others) - set(named(left)) == set()


def test_a_part_leaves_the_rest_of_its_track(episode: EpisodePaths, machine: Machine) -> None:
    desk = load_desk(episode, machine.settings)
    ids = {d for d, n in named(desk).items() if n == PART}
    counts = {t.track_id: t.count for t in desk.base.tracks}
    (track,) = {
        p.track_id for p in desk.pieces.values() if ids & {str(desk.base.obs.det_id[r]) for r in p.members}
    }
    rows, totals = read_timeline(episode), read_totals(episode)
    gone, _ = _erase(episode, PART)
    assert (gone.clusters, gone.tracks, gone.faces) == (1, 0, len(ids))
    left = {t.track_id: t.count for t in load_tracked(episode).tracks}
    assert left == {**counts, track: counts[track] - len(ids)}
    listed = {t["track_id"]: t["count"] for t in json.loads(episode.tracks.read_text())["tracks"]}
    assert listed == left
    assert read_timeline(episode) == [i for i in rows if i.person != PART]
    assert read_totals(episode) == [t for t in totals if t.person != PART]
    members = pq.read_table(episode.reviewed_members).to_pylist()
    assert not any(ids & set(m["det_ids"] or ()) for m in members)
    assert machine.stages(episode) == ["cluster", "assist", "analytics"]
    assert PART not in {t.person for t in read_totals(episode)}
    assert NAME in {t.person for t in read_totals(episode)}
    assert machine.stages(episode) == []


def test_twice_is_once(episode: EpisodePaths) -> None:
    _erase(episode, NAME)
    before = tree(episode.root)
    assert person.erase(episode, NAME) == person.Erased(0, 0, 0)
    assert person.erase(episode, "Nobody") == person.Erased(0, 0, 0)
    assert tree(episode.root) == before


def test_somebody_who_is_on_screen_by_hand_alone_goes_too(episode: EpisodePaths) -> None:
    assert "Gus" in {t.person for t in read_totals(episode)}
    gone, found = _erase(episode, "Gus")
    assert (gone, found) == (person.Erased(0, 0, 0), ())
    assert "Gus" not in {t.person for t in read_totals(episode)}
    assert "Gus" not in {p.name for p in record.load(episode).people}
    assert all(s.kind == "trim" for s in Said.of(record.load(episode).decisions).spans.values())


def test_a_cluster_that_was_found_under_their_name_loses_it_where_people_said_otherwise(
    episode: EpisodePaths, machine: Machine
) -> None:
    """The facebank took a track for somebody; people said that it is another; the other one is erased."""
    desk = load_desk(episode, machine.settings)
    ada = desk.person_of("Ada")
    track = desk.pieces[desk.grouping.pieces_of_entity(str(ada))[0]]
    obs, row = desk.base.obs, int(track.members[0])
    face = facebank.Face("elsewhere", "t", "d", obs.embeddings[row], b"", obs.boxes[row], obs.landmarks[row])
    facebank.Facebank(machine.embedder.id, {"Xan Doe": (face,)}).save(episode.facebank)
    record.ReviewRecord().save(episode)
    machine.stages(episode)
    assert "Xan Doe" in {t.person for t in read_totals(episode)}
    review = Review.open(episode, machine.settings)
    xan = review.desk.entity(str(review.desk.person_of("Xan Doe")))
    review.do(Assign(subject=Subject(groups=xan.group_ids), name="Ada"))
    review.publish()
    from pipelines.stages import STAGES  # noqa: PLC0415 - as a publication does, on the same clusters

    for stage in STAGES[3:]:
        stage.run(episode, machine.settings)
    (episode.facebank / "people.parquet").unlink()
    names = set(named(load_desk(episode, machine.settings)).values())
    person.erase(episode, "Xan Doe")
    assert set(named(load_desk(episode, machine.settings)).values()) == names
    assert "Xan Doe" not in pq.read_table(episode.clusters)["name"].to_pylist()
    assert places_of(episode.outputs, [b"Xan Doe"]) == []
