"""`screenalyzer demo`: the main job on a season whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from screenalyzer import storage
from screenalyzer.results import EpisodeFacts, clock, read_timeline
from services.cli.console import AsJson, DataRoot, err, out, read_settings, say_error, say_json
from services.cli.process import describe, with_options
from services.cli.run import run_jobs

if TYPE_CHECKING:
    from screenalyzer.demo.season import DemoEpisode
    from screenalyzer.evaluation import Score

_SHOW = "demo"


def demo(
    data_root: DataRoot = Path("data"),
    embedder: Annotated[str | None, typer.Option(help="auto, facenet, dlib or onnx:PATH.")] = None,
    as_json: AsJson = False,
) -> None:
    """Build a season of three short episodes of synthetic people, process it, and compare with the truth."""
    from screenalyzer.evaluation import Truth, score  # noqa: PLC0415 - seconds that only this needs
    from screenalyzer.exports import export  # noqa: PLC0415 - seconds that only this needs
    from screenalyzer.plot import plot_timeline  # noqa: PLC0415 - seconds that only this needs

    settings = with_options(read_settings(), "auto", embedder, None)
    season = _build(data_root / "videos" / _SHOW)
    for episode in season:
        storage.share(episode.video)
    outcomes = run_jobs(
        [e.video for e in season],
        _SHOW,
        data_root,
        settings,
        replace=True,
        quiet=False,
    )
    report: list[dict[str, Any]] = []
    for episode, outcome in zip(season, outcomes, strict=True):
        if outcome.error:
            say_error(outcome.error)
            continue
        paths = outcome.job.paths
        result = score(Truth.load(episode.truth), read_timeline(paths))
        picture = paths.exports / f"{paths.episode}-timeline.png"
        plot_timeline(paths, picture)
        files = [*export(paths, "csv", None), *export(paths, "xlsx", None), picture]
        report.append({**describe(outcome), **_figures(result), "files": [str(f) for f in files]})
        if not as_json:
            _show(paths.key, EpisodeFacts.load(paths), result)
            out.print(
                f"artifacts in {paths.outputs}; exports: {', '.join(f.name for f in files)}\n",
                markup=False,
                soft_wrap=True,
            )
    if as_json:
        say_json(report)
    if any(o.error for o in outcomes):
        raise typer.Exit(1)


def _build(folder: Path) -> "list[DemoEpisode]":
    from screenalyzer.demo.season import build_season  # noqa: PLC0415 - seconds that only this needs

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def show(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(f"building {name}", total=1.0)
                if not err.is_terminal:
                    err.print(f"building {name}")
            progress.update(tasks[name], completed=share)

        return build_season(folder, show)


def _figures(result: "Score") -> dict[str, Any]:
    return {
        "people_true": result.people_true, "people_found": result.people_found, "f1": round(result.f1, 4),
        "precision": round(result.precision, 4), "recall": round(result.recall, 4),
        "error_pct": None if result.error_pct is None else round(result.error_pct, 2),
    }  # fmt: skip


def _show(key: str, facts: EpisodeFacts, result: "Score") -> None:
    title = (
        f"{key}, {clock(facts.duration_ms)}: f1 {result.f1:.3f}, "
        f"{result.people_found} people found, {result.people_true} true"
    )
    out.print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("true person")
    table.add_column("found as")
    for name in ("truth", "found", "difference"):
        table.add_column(name, justify="right")
    for p in result.per_person:
        found_ms, true_ms = p.found_ms, p.true_ms
        table.add_row(
            p.person, p.matched or "-", f"{true_ms / 1000:.1f} s", f"{found_ms / 1000:.1f} s",
            f"{(found_ms - true_ms) / 1000:+.1f} s",
        )  # fmt: skip
    out.print(table)
