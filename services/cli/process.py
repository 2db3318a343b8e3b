"""`screenalyzer process`: the main job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from screenalyzer import artifacts
from screenalyzer.results import clock, read_timeline, read_totals
from screenalyzer.settings import Settings
from services.cli.console import DataRoot, err, out, read_settings, say_error, say_json
from services.cli.run import run_jobs

if TYPE_CHECKING:
    from pipelines.season import Outcome


def with_options(settings: Settings, device: str, embedder: str | None, fps: float | None) -> Settings:
    """The settings of the environment, overruled by what was typed."""
    typed = {
        "ray": {} if device == "auto" else {"device": device},
        "embed": {} if embedder is None else {"embedder": embedder},
        "video": {} if fps is None else {"sample_fps": fps},
    }
    return settings.model_copy(
        update={k: getattr(settings, k).model_copy(update=v) for k, v in typed.items()}
    )


def process(  # noqa: PLR0913, PLR0917 - a parameter is an option
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO...", help="Episodes; each is named after its file.")
    ],
    show: Annotated[str, typer.Option(help="Name of the show they belong to.")],
    data_root: DataRoot = Path("data"),
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the models run.")] = "auto",
    embedder: Annotated[str | None, typer.Option(help="auto, facenet, dlib or onnx:PATH.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, max=60, help="Frames looked at, a second.")] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Discard an episode of the same name that has other content."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for a script, and no progress.")
    ] = False,
) -> None:
    """Find, track and group the faces of episodes, and compute each person's screen time.

    Can be stopped at any time: the same command goes on where it was. Exits with 1 if any episode failed;
    the others are processed all the same.
    """
    settings = with_options(read_settings(), device, embedder, fps)
    outcomes = run_jobs(videos, show, data_root, settings, replace, quiet=as_json)
    if as_json:
        say_json([describe(o) for o in outcomes])
    else:
        show_outcomes(outcomes)
    for outcome in outcomes:
        if outcome.error:
            say_error(outcome.error)
    if any(o.error for o in outcomes):
        raise typer.Exit(1)


def describe(outcome: "Outcome") -> dict[str, Any]:
    """An outcome for a script."""
    paths = outcome.job.paths
    result: dict[str, Any] = {
        "show": paths.show, "episode": paths.episode, "video": str(outcome.job.video),
        "status": "failed" if outcome.error else "done", "error": outcome.error,
        "duration_ms": outcome.duration_ms, "seconds": round(outcome.seconds, 2),
        "outputs": str(paths.outputs), "harvest": str(paths.harvest),
    }  # fmt: skip
    if not outcome.error:
        result["people"] = len(read_totals(paths))
        result["missing"] = _missing(outcome)
    return result


def show_outcomes(outcomes: "list[Outcome]") -> None:
    """A table of what was done, then what a person should know of each episode."""
    table = Table(box=None, pad_edge=False)
    for name in ("episode", "length", "people", "appearances", "artifacts"):
        table.add_column(
            name, justify="right" if name in ("length", "people", "appearances") else "left", overflow="fold"
        )
    good = [o for o in outcomes if not o.error]
    for o in good:
        paths = o.job.paths
        people, appearances = str(len(read_totals(paths))), str(len(read_timeline(paths)))
        table.add_row(paths.key, clock(o.duration_ms), people, appearances, str(paths.outputs))
    if good:
        out.print(table)
    for o in good:
        for m in _missing(o):
            seconds = f"{m['start_ms'] / 1000:.1f} s to {m['end_ms'] / 1000:.1f} s"
            err.print(
                f"warning: {o.job.key}: nothing from {seconds}: {m['reason']}", style="yellow", markup=False
            )


def _missing(outcome: "Outcome") -> list[dict[str, Any]]:
    return list(artifacts.read_json(outcome.job.paths.manifest_json)["missing"])
