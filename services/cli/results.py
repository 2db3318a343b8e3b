"""`screenalyzer totals`, `export` and `plot`: what a processed episode says."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from screenalyzer.results import EpisodeFacts, clock, read_rules, read_totals
from services.cli.console import AsJson, DataRoot, EpisodeName, find_episode, out, say_json


def totals(episode: EpisodeName, data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Print each person's screen time."""
    paths = find_episode(data_root, episode)
    rows, facts = read_totals(paths), EpisodeFacts.load(paths)
    if as_json:
        rules = read_rules(paths).model_dump()
        say_json(
            {"show": paths.show, "episode": paths.episode, "duration_ms": facts.duration_ms,
             "start_ms": facts.start_ms, "rules": rules, "totals": [asdict(r) for r in rows]}
        )  # fmt: skip
        return
    out.print(f"{paths.key}, {clock(facts.duration_ms)}", style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("person", "screen time", "percent", "appearances", "first", "last"):
        table.add_column(name, justify="left" if name == "person" else "right")
    for r in rows:
        table.add_row(
            r.person, f"{r.total_ms / 1000:.1f} s", f"{r.percent:.1f} %", str(r.appearances),
            clock(r.first_ms - facts.start_ms), clock(r.last_ms - facts.start_ms),
        )  # fmt: skip
    out.print(table)


def export(
    episode: EpisodeName,
    file_format: Annotated[Literal["csv", "xlsx"], typer.Option("--format", help="Kind of file.")] = "xlsx",
    data_root: DataRoot = Path("data"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; beside the artifacts if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write totals and timeline for people outside, with the rules they were made by."""
    from screenalyzer.exports import export as write_export  # noqa: PLC0415 - seconds that only this needs

    files = write_export(find_episode(data_root, episode), file_format, output)
    if as_json:
        say_json([str(f) for f in files])
    else:
        for f in files:
            typer.echo(str(f))


def plot(
    episode: EpisodeName,
    data_root: DataRoot = Path("data"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=".png or .svg; beside the artifacts if left out.")
    ] = None,
    theme: Annotated[Literal["light", "dark"], typer.Option(help="Colours.")] = "light",
) -> None:
    """Draw the timeline: a row a person, with a picture of each."""
    from screenalyzer.plot import plot_timeline  # noqa: PLC0415 - seconds that only this needs

    paths = find_episode(data_root, episode)
    target = output or paths.exports / f"{paths.episode}-timeline.png"
    plot_timeline(paths, target, theme=theme)
    typer.echo(str(target))
