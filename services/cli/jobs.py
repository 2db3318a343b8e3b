"""`screenalyzer jobs`: how work stands, and what becomes of it."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from screenalyzer.results import clock
from services.cli.client import Api, segment
from services.cli.connected import talks
from services.cli.console import AsJson, err, out, say_error, say_json

app = typer.Typer(help="How work stands, and what becomes of it.", no_args_is_help=True)

_LINE_EVERY = 0.1  # share of the work, between two lines where there is no terminal
_ENDED = {"done", "failed", "cancelled"}
_RESTS = _ENDED | {"paused"}

JobId = Annotated[str, typer.Argument(metavar="ID", help="Of the job, as `jobs list` shows it.")]


def follow(api: Api, job_ids: Sequence[str], names: dict[str, str], quiet: bool) -> list[dict[str, Any]]:
    """Watch jobs until each has ended or is paused; a line each on stderr.

    Args:
        api: the service.
        job_ids: which.
        names: what to call them; their ids where left out.
        quiet: show nothing.

    Returns:
        The jobs as they are then.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[now]}"), console=err, disable=quiet or not err.is_terminal,
    ) as progress:  # fmt: skip
        lines = {j: progress.add_task(names.get(j, j), total=1.0, now="") for j in job_ids}
        found = []
        for job_id in job_ids:
            line = _Line(progress, lines[job_id], quiet or err.is_terminal)
            found.append(_follow(api, job_id, line))
        return found


class _Line:
    """One job's line; where there is no terminal, some lines."""

    def __init__(self, progress: Progress, task: Any, mute: bool) -> None:
        self._progress, self._task, self._mute = progress, task, mute
        self._spoke: tuple[str, float] = ("", -1.0)

    def show(self, job: dict[str, Any]) -> None:
        stage = next((s["stage"] for s in job["stages"] if s["state"] == "running"), "")
        left = (
            f", {clock(round(job['eta_s'] * 1000))} left"
            if job["eta_s"] and job["state"] == "running"
            else ""
        )
        now = f"{job['state']}{f' ({stage})' if stage else ''}{left}"
        self._progress.update(self._task, completed=job["progress"], now=now)
        moved = job["progress"] - self._spoke[1] >= _LINE_EVERY or self._spoke[0] != f"{job['state']} {stage}"
        if not self._mute and moved:
            self._spoke = (f"{job['state']} {stage}", job["progress"])
            name = self._progress.tasks[self._task].description
            err.print(f"{name}: {job['progress']:.0%}, {now}", markup=False, soft_wrap=True)


def _follow(api: Api, job_id: str, line: _Line) -> dict[str, Any]:
    path = f"/v1/jobs/{segment(job_id)}"
    job: dict[str, Any] = api.get(path)
    line.show(job)
    if job["state"] not in _RESTS:
        for _ in api.events(f"{path}/events"):  # whatever it says, the job itself says it all
            job = api.get(path)
            line.show(job)
            if job["state"] in _RESTS:
                break
    job = api.get(path)
    line.show(job)
    return job


@app.command("list")
@talks
def list_jobs(
    api: Api,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only those of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    found = api.get("/v1/jobs", state=state, kind=kind, limit=limit)["items"]
    if as_json:
        say_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "kind", "of", "state", "done", "left", "error"):
        side: Any = "right" if name in {"done", "left"} else "left"
        table.add_column(name, justify=side, overflow="fold", no_wrap=name in {"id", "state"})
    for job in found:
        left = clock(round(job["eta_s"] * 1000)) if job["eta_s"] and job["state"] not in _RESTS else ""
        done = f"{job['progress']:.0%}"
        of = "/".join(name for name in (job["show"], job["episode"]) if name)
        table.add_row(job["id"], job["kind"], of, job["state"], done, left, job["error"] or "")
    out.print(table)


@app.command()
@talks
def show(api: Api, job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job with its stages."""
    _show(api.get(f"/v1/jobs/{segment(job_id)}"), as_json)


@app.command()
@talks
def watch(api: Api, job_id: JobId, as_json: AsJson = False) -> None:
    """Watch a job until it has ended or is paused. Exits with 1 if it did not end well."""
    finish(follow(api, [job_id], {}, quiet=as_json), as_json)


@app.command()
@talks
def pause(api: Api, job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job at its next checkpoint, to be resumed."""
    _act(api, job_id, "pause", as_json)


@app.command()
@talks
def cancel(api: Api, job_id: JobId, as_json: AsJson = False) -> None:
    """End a job within seconds; what is done is kept."""
    _act(api, job_id, "cancel", as_json)


@app.command()
@talks
def resume(api: Api, job_id: JobId, as_json: AsJson = False) -> None:
    """Go on from the last checkpoint of a job that was paused, cancelled or given up."""
    _act(api, job_id, "resume", as_json)


@app.command()
@talks
def retry(
    api: Api,
    job_id: JobId,
    stage: Annotated[str, typer.Option(help="Which stage is done again, with all after it.")],
    as_json: AsJson = False,
) -> None:
    """Do a stage again, and all after it."""
    _act(api, job_id, "retry", as_json, {"stage": stage})


def finish(found: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print what became of jobs; exits with 1 if any did not end well."""
    if as_json:
        say_json(found[0] if len(found) == 1 else list(found))
    for job in found:
        if job["state"] != "done":
            say_error(f"job {job['id']} is {job['state']}{': ' + job['error'] if job['error'] else ''}")
    if any(job["state"] != "done" for job in found):
        raise typer.Exit(1)


def _act(api: Api, job_id: str, action: str, as_json: bool, body: Any = None) -> None:
    job = api.send("POST", f"/v1/jobs/{segment(job_id)}/{action}", body)
    if as_json:
        say_json(job)
    else:
        out.print(f"job {job['id']} is {job['state']}", markup=False, soft_wrap=True)


def _show(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(job)
        return
    out.print(f"job {job['id']}: {job['kind']}, {job['state']}, {job['progress']:.0%}", markup=False)
    if job["error"]:
        out.print(job["error"], style="red", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "state", "attempt", "read", "speed", "error"):
        table.add_column(name, justify="right" if name in {"attempt", "read", "speed"} else "left")
    for s in job["stages"]:
        read = f"{clock(s['done_ms'])} of {clock(s['total_ms'])}" if s["total_ms"] else ""
        speed = f"{s['speed']:.1f}x" if s["speed"] else ""
        table.add_row(s["stage"], s["state"], str(s["attempt"]), read, speed, s["error"] or "")
    out.print(table)
    for name, value in (job["result"] or {}).items():
        out.print(f"{name}: {value}", markup=False, soft_wrap=True)
