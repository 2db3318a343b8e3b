"""`screenalyzer audit`: whether the audit logs are as they were written."""

from pathlib import Path
from typing import Annotated, Any

import typer

from screenalyzer import artifacts, audit, storage
from screenalyzer.errors import ArtifactError
from services.cli.console import AsJson, DataRoot, out, say_error, say_json

app = typer.Typer(help="The audit logs: the service's own, and each episode's.", no_args_is_help=True)


@app.callback()
def _audit() -> None:
    """The audit logs: the service's own, and each episode's."""


@app.command()
def verify(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Logs; all of the data root, if none.")
    ] = None,
    data_root: DataRoot = Path("data"),
    as_json: AsJson = False,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor", help="Hash of a line that one of the logs must hold: shows that no end was cut off."
        ),
    ] = None,
) -> None:
    """Walk the chain of every audit log. Exit code 1 if one was tampered with.

    A torn last line is what a writer leaves that was killed within it: it was never acknowledged, and the
    next writer removes it.
    """
    logs = paths or find_logs(data_root)
    found = [_look(p) for p in logs]
    held = anchor is None or any(anchor in hashes(p) for p in logs if p.is_file())
    if as_json:
        say_json({"logs": found, "anchor": None if anchor is None else held})
    else:
        for log in found:
            out.print(_line(log), markup=False, soft_wrap=True)
        if not found:
            out.print(f"there is no audit log below {data_root}", markup=False, soft_wrap=True)
    if not held:
        say_error(f"no log has a line with the hash {anchor}. Lines were cut off; compare with a backup.")
    if not held or any(log["kind"] not in {"ok", "torn"} for log in found):
        raise typer.Exit(1)


def find_logs(root: Path) -> list[Path]:
    """The service's audit log and those of all episodes, as far as they are there."""
    own = root / "diagnostics" / "audit.jsonl"
    return [p for p in (own, *(e.audit for e in artifacts.episodes(root))) if storage.need(p)]


def hashes(path: Path) -> set[str]:
    """Hashes of all lines of a log; none of one that was tampered with."""
    try:
        return {str(line["hash"]) for line in audit.read(path)}
    except ArtifactError:
        return set()


def _look(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {
            "path": str(path),
            "kind": "missing",
            "lines": 0,
            "last": None,
            "reason": "there is no such log",
        }
    verdict = audit.verify(path)
    lines = audit.read(path) if verdict.kind != "tampered" else []
    return {
        "path": str(path),
        "kind": verdict.kind,
        "lines": verdict.lines,
        "last": lines[-1]["hash"] if lines else None,
        "reason": verdict.reason,
    }


def _line(log: dict[str, Any]) -> str:
    lines = "1 line" if log["lines"] == 1 else f"{log['lines']} lines"
    tail = f", last {log['last']}" if log["last"] else ""
    reason = f": {log['reason']}" if log["reason"] else ""
    return f"{log['kind']:8} {log['path']}: {lines} good{tail}{reason}"
