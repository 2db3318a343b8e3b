"""What people decided of a processed episode, through every kind of another run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.erasing import tree
from support.processed import Machine
from support.review_kills import run_after_tracking
from support.reviewing import Review, agreement, decide_everything, named

from pipelines.review import load_base, load_desk
from pipelines.stages import STAGES
from screenalyzer import facebank, schemas
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.demo import DemoEpisode
from screenalyzer.errors import ArtifactError
from screenalyzer.people import display_names
from screenalyzer.plot import plot_timeline
from screenalyzer.results import read_timeline, read_totals
from screenalyzer.review import record
from screenalyzer.review.carrying.carry_report import CarryReport, report_of
from screenalyzer.review.model import Person
from screenalyzer.review.operations import Assign, RenamePerson, Subject
from screenalyzer.review.record import ReviewRecord
from screenalyzer.screentime import timeline
from screenalyzer.settings import Settings
from screenalyzer.tracking.spans import presence_spans
from screenalyzer.types import Presence


@dataclass(frozen=True)
class Reviewed:
    """An episode whose every decision is published.

    Attributes:
        paths: of it.
        review: who decided.
        record: what was published.
    """

    paths: EpisodePaths
    review: Review
    record: ReviewRecord


def _copy(paths: EpisodePaths, root: Path) -> EpisodePaths:
    shutil.copytree(paths.root, root)
    return EpisodePaths(root, paths.show, paths.episode)


def _publish(paths: EpisodePaths, settings: Settings) -> None:
    """What the service runs when a review is published: the stages after the clusters."""
    for stage in STAGES[3:]:
        stage.run(paths, settings)


@pytest.fixture(scope="module")
def reviewed(processed: EpisodePaths, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """To be copied."""
    paths = _copy(processed, tmp_path_factory.mktemp("reviewed") / "root")
    review = Review.open(paths, machine.settings)
    decide_everything(review)
    return Reviewed(paths, review, review.publish())


@pytest.fixture
def copied(reviewed: Reviewed, tmp_path: Path) -> EpisodePaths:
    """A copy, to be changed."""
    return _copy(reviewed.paths, tmp_path / "root")


def _with(settings: Settings, **groups: dict[str, object]) -> Settings:
    changed = {g: getattr(settings, g).model_copy(update=v) for g, v in groups.items()}
    return settings.model_copy(update=changed)


def _report(paths: EpisodePaths, settings: Settings) -> CarryReport:
    base, found = load_base(paths, settings), record.load(paths)
    groups = [c.cluster_id for c in base.clustering.clusters]
    return report_of(found.decisions, found.anchors, found.people, base.carried, groups)


def test_without_decisions_the_clusters_are_what_counts(processed: EpisodePaths, machine: Machine) -> None:
    base = load_base(processed, machine.settings)
    names = display_names(read_table(processed.clusters, schemas.CLUSTERS))
    tracks = {t.track_id: t for t in base.tracks}
    seen = [
        Presence(names[c.cluster_id], span, m.score, t.partial, face_conf=t.mean_conf)
        for c in base.clustering.clusters
        if not c.leave_out
        for m in c.members
        for t in [tracks[m.track_id]]
        for span in presence_spans(t, base.obs, base.grid)
    ]
    assert read_timeline(processed) == timeline(seen, machine.settings.rules)
    reviewed = read_table(processed.reviewed_clusters, schemas.CLUSTERS)
    assert display_names(reviewed) == names


def test_published_files_are_what_the_desk_shows(
    copied: EpisodePaths, reviewed: Reviewed, machine: Machine
) -> None:
    _publish(copied, machine.settings)
    desk = reviewed.review.desk
    assert read_totals(copied) == desk.totals()
    assert read_timeline(copied) == desk.timeline()
    assert {i.source for i in desk.timeline()} >= {"reviewed", "manual"}
    assert load_desk(copied, machine.settings).snapshot() == desk.snapshot()
    shown = display_names(read_table(copied.reviewed_clusters, schemas.CLUSTERS))
    assert set(shown.values()) >= {t.person for t in desk.totals()} - {"Gus"}  # by hand alone
    members = read_table(copied.reviewed_members, schemas.REVIEWED_MEMBERS).to_pylist()
    marks = {g.group_id: g.mark for g in desk.grouping.groups.values()}
    faces = {p for p in desk.pieces if marks[desk.grouping.group_of[p]] != "not_face"}
    assert len(members) == len(faces) < len(desk.pieces)
    assert {m["track_id"] for m in members} == faces
    for m in members:
        piece = desk.pieces[m["track_id"]]
        dets = None if piece.whole else [str(d) for d in desk.base.obs.det_id[piece.members]]
        assert m["det_ids"] == dets
        assert m["part_of"] == (None if piece.piece_id == piece.track_id else piece.track_id)
    assert [m for m in members if m["part_of"]]
    doubts = read_table(copied.low_confidence, schemas.LOW_CONFIDENCE).to_pylist()
    assert [tuple(d["track_ids"]) for d in doubts] == [d.piece_ids for d in desk.doubts()]


def test_an_unchanged_record_runs_nothing(copied: EpisodePaths, reviewed: Reviewed, machine: Machine) -> None:
    assert machine.stages(copied) == ["cluster", "assist", "analytics"]
    assert machine.stages(copied) == []
    replace(reviewed.record, revision=99).save(copied)
    assert machine.stages(copied) == []
    ReviewRecord().save(copied)
    assert machine.stages(copied) == ["cluster", "assist", "analytics"]


def test_clustering_again_changes_nothing_of_what_was_decided(
    copied: EpisodePaths, reviewed: Reviewed, machine: Machine
) -> None:
    machine.stages(copied)
    after = load_desk(copied, machine.settings)
    before = reviewed.review.desk
    assert named(after) == named(before)
    assert _report(copied, machine.settings).lost == ()
    names = {t.person for t in before.totals()}
    assert {t.person: t.total_ms for t in after.totals() if t.person in names} == {
        t.person: t.total_ms for t in before.totals()
    }


@pytest.mark.parametrize(
    "change",
    [
        {"video": {"sample_fps": 2.0}},
        {"video": {"sample_fps": 3.0}},
        {"video": {"sample_fps": 8.0}, "detect": {"min_face_px": 30}},
        {"detect": {"min_conf": 0.99}},
        {"track": {"max_gap_ms": 0, "min_stitch_score": 0.99}},
        {"track": {"max_gap_ms": 5000, "min_stitch_score": 0.2}},
        {"cluster": {"min_suggested_similarity": 0.5}},
    ],
    ids=str,
)
def test_another_run_finds_every_decision(
    copied: EpisodePaths,
    reviewed: Reviewed,
    machine: Machine,
    short_season: list[DemoEpisode],
    change: dict[str, dict[str, object]],
) -> None:
    settings = _with(machine.settings, **change)
    _reader(machine, settings).process(short_season[0].video, copied, settings)
    before, after = reviewed.review.desk, load_desk(copied, settings)
    same, total, other = agreement(before, after)
    assert total > 30
    assert same >= 0.99 * total, other
    assert _names(after) == _names(before)
    found = _report(copied, settings)
    assert found.lost == ()
    assert found.carried == _report(reviewed.paths, machine.settings).carried
    assert all(n > 0 for n in found.carried.values())
    assert _reader(machine, settings).stages(copied, settings) == []


def _reader(machine: Machine, settings: Settings) -> Machine:
    """A detector obeys the settings that it was made with."""
    from screenalyzer.faces.mtcnn import MTCNN  # noqa: PLC0415 - torch

    return replace(machine, detector=MTCNN(settings.detect, "cpu"))


def _names(desk: object) -> set[str]:
    return {e.name for e in desk.entities() if e.kind == "person"}  # type: ignore[attr-defined]


def test_a_decision_of_a_later_run_holds_also_when_the_first_run_comes_back(
    copied: EpisodePaths, reviewed: Reviewed, machine: Machine, short_season: list[DemoEpisode]
) -> None:
    coarse = _with(machine.settings, video={"sample_fps": 3.0}, detect={"min_face_px": 30})
    other = _reader(machine, coarse)
    other.process(short_season[0].video, copied, coarse)
    review = Review.open(copied, coarse)
    desk = review.desk
    cy = desk.person_of("Cy")
    assert cy is not None
    moved = desk.grouping.pieces_of_entity(cy)[0]
    assert moved not in reviewed.review.desk.pieces
    review.do(Assign(subject=Subject(pieces=(moved,)), name="Zoë"))
    review.publish()
    other.stages(copied, coarse)
    before = load_desk(copied, coarse)
    assert "Zoë" in named(before).values()
    machine.process(short_season[0].video, copied)
    after = load_desk(copied, machine.settings)
    same, total, differing = agreement(before, after)
    assert same >= 0.99 * total, differing
    assert _names(after) == _names(before)


def test_killed_at_any_moment_running_again_gives_the_same_bytes(
    reviewed: Reviewed, copied: EpisodePaths, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    words = [str(reviewed.paths.root), copied.show, copied.episode, str(folder), "4"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "support.review_kills", *words]
    count = int(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
    assert count > 5
    run_after_tracking(copied, Settings())
    wanted = _files(copied.root)
    for root in sorted(folder.iterdir()):
        paths = EpisodePaths(root, copied.show, copied.episode)
        run_after_tracking(paths, Settings())
        assert _files(root) == wanted, root.name


def _files(root: Path) -> dict[str, str]:
    return {k: v for k, v in tree(root).items() if not k.endswith(".tmp")}


def test_people_are_known_by_the_names_that_they_bear_now(
    copied: EpisodePaths, reviewed: Reviewed, machine: Machine
) -> None:
    obs = reviewed.review.desk.base.obs
    blank = facebank.Face("e", "t", "d", obs.embeddings[0], b"", obs.boxes[0], obs.landmarks[0])
    facebank.Facebank(machine.embedder.id, {"Cy": (blank,), "Old": (blank,)}).save(copied.facebank)
    review = Review.open(copied, machine.settings)
    cy = review.desk.person_of("Cy")
    assert cy is not None
    review.do(RenamePerson(person=cy, name="Cyrus"))
    review.publish()
    base = load_base(copied, machine.settings)
    assert base.gallery is not None
    assert base.gallery.names == ("Cyrus", "Old")
    machine.stages(copied)
    assert "Cyrus" in {t.person for t in read_totals(copied)}
    assert "Cy" not in {t.person for t in read_totals(copied)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:50],
        lambda text: text.replace('"schema_version": 1', '"schema_version": 7'),
        lambda text: text.replace('"anchors"', '"anker"'),
        lambda _: "[]",
    ],
)
def test_a_damaged_record_is_named(copied: EpisodePaths, damage: Callable[[str], str]) -> None:
    copied.review_record.write_text(damage(copied.review_record.read_text()))
    with pytest.raises(ArtifactError, match=r"decisions\.json"):
        record.load(copied)


def test_a_record_survives_being_written(copied: EpisodePaths, reviewed: Reviewed) -> None:
    found = record.load(copied)
    before = copied.review_record.read_bytes()
    found.save(copied)
    assert copied.review_record.read_bytes() == before
    assert (found.decisions, found.people) == (reviewed.record.decisions, reviewed.record.people)
    assert found.digest == reviewed.record.digest
    more = replace(found, people=(*found.people, Person("x", "X", "y", ("Z",))))
    more.save(copied)
    assert record.load(copied) == more
    assert more.digest != found.digest


def test_an_old_episode_is_to_be_processed_again(copied: EpisodePaths, tmp_path: Path) -> None:
    copied.reviewed_clusters.unlink()
    with pytest.raises(ArtifactError, match="Process the episode first"):
        plot_timeline(copied, tmp_path / "x.png")
