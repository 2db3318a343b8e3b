"""How long does a person need to review an episode, and how right is it then?

usage: bench/reviewer.py [--season FOLDER] [--root FOLDER] [--show NAME] [--json]

A simulated reviewer who knows the truth (epNN.truth.json beside each epNN.mp4; the demo season where no
folder is named) sees what the review pages show, in their order, and acts by their keys alone. The episodes
come in a row: each is grouped anew with what the show's facebank has learned from the ones before. Actions
become minutes by the keystroke-level model; see OPERATORS. Prints accuracy before and after, actions, and
minutes an hour of video. With --root a data root is kept and used again where its episodes are processed.
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipelines.episode import Job
from pipelines.progress import Silent
from pipelines.review import load_desk
from pipelines.single import StageWork, later_stage
from pipelines.stage import STAGE_NAMES
from screenalyzer import results
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.distances import cosine_to
from screenalyzer.demo import build_season
from screenalyzer.evaluation import Score, Truth, score
from screenalyzer.faces.embedders import resolve_embedder_id
from screenalyzer.review.desk import Desk
from screenalyzer.review.operations import Assign, Confirm, MarkAs, MergeGroups, Operation, Refuse, Subject
from screenalyzer.review.shown.lineup import SURE
from screenalyzer.review.shown.views import Candidate, Entity, FaceRow
from screenalyzer.settings import Settings
from screenalyzer.types import Observations
from services.main_job import plan_jobs, run_main_job
from services.review.learning import learn

# Seconds. Card, Moran and Newell, "The Keystroke-Level Model" (1980): K of an average typist who is no
# secretary, P to point with a mouse, B to press or release its button, H to move a hand between keyboard and
# mouse, M to make up one's mind. LOOK is an eye movement of their Model Human Processor (1983), one for each
# face that is looked at; MATCH is its class match without the hand: to see that some faces are one person's.
OPERATORS: Final = {"K": 0.28, "P": 1.10, "B": 0.10, "H": 0.40, "M": 1.35, "LOOK": 0.23, "MATCH": 0.38}

ENOUGH: Final = 12  # right faces in a row, worst first, after which a wall is believed
ENOUGH_SURE: Final = 4  # beyond the score that the page draws a line at
NO_MORE: Final = 5  # pairs in a row that are two people, after which suggestions are left
TOO_SHORT_S: Final = 0.5  # doubts about less are left
TYPED: Final = 3  # letters that find a person who is there already
FULL_NAME: Final = 12  # letters of somebody new; the truth's own names are codes of four or five


class Oracle:
    """Who each face is, from the truth: by the shot, and by looks where several are in it."""

    def __init__(self, truth: Truth, obs: Observations, start_ms: int) -> None:
        ends = np.array([s.span.end_ms for s in truth.shots])
        self._shot = np.searchsorted(ends, obs.ts_ms - start_ms, side="right").clip(0, len(ends) - 1)
        self._people = [s.people for s in truth.shots]
        self._obs = obs
        looks = self._looks()
        self._who: dict[str, str | None] = dict.fromkeys(obs.det_id.tolist())
        for rows in self._frames():
            self._tell_apart(rows, looks)

    def who(self, det_id: str) -> str | None:
        """Name in the truth; None for nobody who is paid."""
        return self._who[det_id]

    def _frames(self) -> Iterable[Any]:
        breaks = np.flatnonzero(np.diff(self._obs.ts_ms)) + 1
        return (rows for rows in np.split(np.arange(len(self._obs)), breaks) if len(rows))

    def _looks(self) -> dict[str, Any]:
        """Mean vector of each person over frames that show them alone."""
        alone: dict[str, list[int]] = {}
        for rows in self._frames():
            people = self._people[self._shot[rows[0]]]
            if len(people) == 1 and len(rows) == 1:
                alone.setdefault(people[0], []).append(int(rows[0]))
        return {p: self._obs.embeddings[rows].mean(axis=0) for p, rows in alone.items()}

    def _tell_apart(self, rows: Any, looks: dict[str, Any]) -> None:
        people = self._people[self._shot[rows[0]]]
        if not people:
            return
        unknown = np.zeros(
            self._obs.embeddings.shape[1], dtype=np.float32
        )  # as far from all as strangers are
        wanted = np.stack([looks.get(p, unknown) for p in people])
        faces, who = linear_sum_assignment(cosine_to(self._obs.embeddings[rows], wanted))
        for face, person in zip(faces, who, strict=True):
            self._who[str(self._obs.det_id[rows[face]])] = people[person]


@dataclass
class Reviewer:
    """Looks, decides and presses keys; every operator of the model is counted."""

    desk: Desk
    oracle: Oracle
    done: Counter[str] = field(default_factory=Counter)
    actions: int = 0

    @property
    def minutes(self) -> float:
        """What it took."""
        return sum(OPERATORS[k] * n for k, n in self.done.items()) / 60

    def review(self) -> None:
        """All of an episode: the line-up, faces, then pairs, then doubts."""
        self._lineup()
        for entity_id in [e.entity_id for e in self.desk.entities() if e.mark is None and _is_open(e)]:
            self._wall(entity_id)
        self._pairs()
        self._doubts()

    def _lineup(self) -> None:
        """Everyone found surely, a row each: put aside who is somebody else, and confirm the rest at once."""
        rows = sorted((e for e in self.desk.entities() if e.looks), key=lambda e: -e.seen_ms)
        right: list[Entity] = []
        cursor = 0
        for place, row in enumerate(rows):
            shown = self.desk.faces(row.entity_id)[: row.looks]
            self.done.update({"LOOK": 1 + len(shown), "MATCH": 1})  # the one known from before as well
            if all(self.oracle.who(f.det_id) == row.name for f in shown):
                right.append(row)
            else:
                self.done.update({"M": 1, "K": place - cursor + 1})
                cursor = place
        if right:
            self.done["M"] += 1
            self._act(Confirm(groups=tuple(g for e in right for g in e.group_ids)), 1)

    def _wall(self, entity_id: str) -> None:
        """The faces of one entity: who it is, and who of them is somebody else."""
        entity = self._still(entity_id)
        if entity is None:
            return
        seen = self._look(self.desk.faces(entity_id))
        self.done["M"] += 1
        if not seen:
            return
        person = Counter(self.oracle.who(f.det_id) for f in seen).most_common(1)[0][0]
        astray: dict[str | None, list[FaceRow]] = {}
        for face in seen:
            if (other := self.oracle.who(face.det_id)) != person:
                astray.setdefault(other, []).append(face)
        for other, faces in astray.items():
            pieces = {f.piece_id: seen.index(f) for f in reversed(faces)}  # where its first face is
            self._select(sorted(pieces.values()))
            self._name(Subject(pieces=tuple(sorted(pieces))), other, ())
        if person != entity.name or entity.auto or person is None:
            left = self._still(entity_id)
            if left is not None:
                self._name(
                    Subject(groups=left.group_ids), person, entity.candidates, right=entity.name == person
                )

    def _still(self, entity_id: str) -> Entity | None:
        """An entity of the list, unless it has joined another meanwhile."""
        return next((e for e in self.desk.entities() if e.entity_id == entity_id), None)

    def _look(self, faces: Sequence[FaceRow]) -> list[FaceRow]:
        """Go along a wall, worst first, until enough in a row are one person."""
        seen: list[FaceRow] = []
        run = 0
        for face in faces:
            seen.append(face)
            same = len(seen) > 1 and self.oracle.who(face.det_id) == self.oracle.who(seen[-2].det_id)
            run = run + 1 if same else 1
            if run >= (ENOUGH_SURE if face.score >= SURE else ENOUGH):
                break
        self.done["LOOK"] += len(seen)
        return seen

    def _select(self, places: Sequence[int]) -> None:
        """Select faces of a wall by whichever is quicker: along it by keys, or by the mouse."""
        self.done["M"] += 1
        keys = {"K": places[-1] + len(places)}
        mouse = {"H": 2, "P": len(places), "B": 2 * len(places)}
        self.done.update(min(keys, mouse, key=lambda way: sum(OPERATORS[o] * n for o, n in way.items())))

    def _name(
        self, subject: Subject, person: str | None, candidates: Sequence[Candidate], *, right: bool = False
    ) -> None:
        """Say who it is, by the shortest way that the page offers."""
        known = {p.name for p in self.desk.people.values()}
        if person is None:
            self._act(MarkAs(subject=subject, mark="background"), 1)
        elif right or person in [c.name for c in candidates]:
            self._act(Assign(subject=subject, name=person), 1)
        elif person in known:
            self._act(Assign(subject=subject, name=person), 1 + TYPED + 1)
        else:
            self._act(Assign(subject=subject, name=person), 1 + FULL_NAME + 1)

    def _pairs(self) -> None:
        """Merge suggestions, in their order."""
        noes = 0
        while noes < NO_MORE and (waiting := self.desk.suggestions()):
            pair = waiting[0]
            a, b = self.desk.entity(pair.entity_a), self.desk.entity(pair.entity_b)
            self.done.update({"LOOK": 2, "M": 1})
            same = self.oracle.who(a.rep_det_id) == self.oracle.who(b.rep_det_id)
            noes = 0 if same else noes + 1
            groups = a.group_ids + b.group_ids
            self._act(
                MergeGroups(groups=groups)
                if same
                else Refuse(group_a=a.group_ids[0], group_b=b.group_ids[0]),
                1,
            )

    def _doubts(self) -> None:
        """The low-confidence queue, in its order."""
        while waiting := [d for d in self.desk.doubts() if d.seconds >= TOO_SHORT_S]:
            doubt = waiting[0]
            self.done.update({"LOOK": len(doubt.det_ids), "M": 1})
            person = self.oracle.who(doubt.rep_det_id)
            right = self.desk.entity(doubt.entity_id).name == person
            self._name(Subject(pieces=doubt.piece_ids), person, doubt.candidates, right=right)

    def _act(self, operation: Operation, keys: int) -> None:
        planned = self.desk.plan(operation)
        self.desk.apply(planned.changes)
        self.done["K"] += keys
        self.actions += 1


def _is_open(entity: Entity) -> bool:
    """Whether the list says that somebody must look at it."""
    return entity.kind == "group" or entity.auto or entity.reviewed < 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--season", type=Path, help="folder of epNN.mp4 with epNN.truth.json")
    parser.add_argument("--root", type=Path, help="data root to keep")
    parser.add_argument("--show", default="season", help="name of the show in the data root")
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = args.root or Path(scratch) / "root"
        season = _season(args.season, root)
        rows = list(_review_season(season, root, args.show, args.embedder))
    if args.json:
        print(json.dumps({"operators_s": OPERATORS, "episodes": rows}, indent=1))
        return
    for row in rows:
        print("  ".join(f"{k} {v}" for k, v in row.items()))


def _season(folder: Path | None, root: Path) -> list[tuple[Path, Path]]:
    """Video and truth of each episode."""
    if folder is None:
        return [(e.video, e.truth) for e in build_season(root / "videos")]
    return [(v, v.with_name(f"{v.stem}.truth.json")) for v in sorted(folder.glob("*.mp4"))]


def _review_season(
    season: Sequence[tuple[Path, Path]], root: Path, show: str, embedder: str
) -> Iterable[dict[str, Any]]:
    settings = Settings.model_validate({"embed": {"embedder": embedder}})
    shutil.rmtree(EpisodePaths(root, show, "").facebank, ignore_errors=True)  # of an earlier run
    jobs = plan_jobs([video for video, _ in season], show, root, replace=False)
    outcomes = run_main_job(jobs, settings, Silent())
    if failed := [o.error for o in outcomes if o.error]:
        raise SystemExit("\n".join(failed))
    for job, (_, truth_file) in zip(jobs, season, strict=True):
        truth = Truth.load(truth_file)
        desk = _grouped_anew(job, settings)
        start_ms = results.EpisodeFacts.load(job.paths).start_ms
        before = score(truth, desk.timeline(), offset_ms=start_ms)
        named = sum(1 for e in desk.entities() if e.auto)
        reviewer = Reviewer(desk, Oracle(truth, desk.base.obs, start_ms))
        reviewer.review()
        after = score(truth, desk.timeline(), names=True, offset_ms=start_ms)
        learn(desk, desk.people.values(), job.paths, job.video)
        yield _figures(job.paths, truth, reviewer, before, after) | {"named_by_facebank": named}


def _grouped_anew(job: Job, settings: Settings) -> Desk:
    """The episode as it comes to the reviewer: grouped with what the show has learned so far."""
    work = StageWork(job, settings, resolve_embedder_id(settings.embed))
    for stage in STAGE_NAMES[STAGE_NAMES.index("cluster") :]:
        later_stage(work, stage)
    return load_desk(job.paths, settings)


def _figures(
    paths: EpisodePaths, truth: Truth, reviewer: Reviewer, before: Score, after: Score
) -> dict[str, Any]:
    hours = truth.duration_ms / 3_600_000
    return {
        "episode": paths.episode,
        "minutes": round(reviewer.minutes, 2),
        "minutes_an_hour": round(reviewer.minutes / hours, 1),
        "minutes_per_30": round(reviewer.minutes / hours / 2, 1),
        "actions": reviewer.actions,
        "operators": dict(reviewer.done),
        "before": {"f1": round(before.f1, 4), "error_pct": round(before.error_pct or 0, 2)},
        "after": {
            "f1": round(after.f1, 4), "precision": round(after.precision, 4),
            "recall": round(after.recall, 4), "error_pct": round(after.error_pct or 0, 2),
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
