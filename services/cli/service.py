"""`screenalyzer up`, `down` and `status`: the whole service on this machine."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.console import AsJson, DataRoot, err, out, read_environment, read_settings, say_json
from services.host.launch import bring_down, bring_up, environment, log_path
from services.host.state import State, running
from services.settings import ServiceSettings


def up(
    host: Annotated[str | None, typer.Option(help="Address that the API listens on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port.")] = None,
    ui_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the review UI.")] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Do not start the review UI.")] = False,
    data_root: DataRoot = Path("data"),
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Run here until stopped, for a container or systemd.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the service, wait until it answers, and print its addresses.

    Redis, the database and Ray are its own unless REDIS_URL, DATABASE_URL or RAY_ADDRESS are set.
    """
    settings = _settings(data_root, {"host": host, "port": port, "ui_port": ui_port})
    read_settings()  # what is wrong with them is said here, not in a log
    if foreground:
        _run_here(settings, not no_ui, as_json)
        return
    found, fresh = bring_up(settings, not no_ui, _say)
    if not fresh:
        _say(f"it runs already, process {found.pid}")
    _show(found, as_json)


def down(data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Stop the service. Jobs stop at their last checkpoint and go on after the next `up`."""
    ran = bring_down(data_root.absolute(), _say)
    if as_json:
        say_json({"stopped": ran, "data_root": str(data_root.absolute())})
    else:
        out.print("stopped" if ran else f"nothing runs on {data_root}", markup=False, soft_wrap=True)


def status(data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Say in one line whether the service runs. Exits with 1 where it does not."""
    root = data_root.absolute()
    found = running(root)
    if as_json:
        say_json(_facts(found, root))
    elif found is None:
        last = State.load(root)
        why = f"; it ended unexpectedly, see {log_path(root)}" if last else ""
        why = f"; it failed: {last.error}" if last and last.error else why
        out.print(f"nothing runs on {data_root}{why}", markup=False, soft_wrap=True)
    else:
        apps = ", ".join(f"{name} {state.lower()}" for name, state in sorted(found.apps.items()))
        step = f" ({found.step})" if found.step else ""
        out.print(
            f"{found.phase}{step}: process {found.pid}, API {found.api or '-'}, UI {found.ui or '-'}, "
            f"{found.workers} workers, {apps or 'no applications yet'}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if found is None:
        raise typer.Exit(1)


def _settings(data_root: Path, typed: dict[str, Any]) -> ServiceSettings:
    """The settings of the environment, overruled by what was typed."""
    settings = read_environment(ServiceSettings)
    api = settings.api.model_copy(update={k: v for k, v in typed.items() if v is not None})
    return settings.model_copy(update={"data_root": data_root.absolute(), "api": api})


def _run_here(settings: ServiceSettings, ui: bool, as_json: bool) -> None:
    from services.host.supervisor import supervise  # noqa: PLC0415 - only here it is this process's work

    os.environ.update(environment(settings))
    supervise(ui, lambda state: _show(state, as_json))


def _facts(found: State | None, root: Path) -> dict[str, Any]:
    if found is None:
        return {"running": False, "data_root": str(root)}
    more = {"phase": found.phase, "workers": found.workers, "apps": found.apps, "warnings": found.warnings}
    return {"running": True, **found.shown(), **more}


def _show(found: State, as_json: bool) -> None:
    for warning in found.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if as_json:
        say_json(found.shown())
        return
    lines = {"API": f"{found.api}, described at {found.api}/v1/docs", "UI": found.ui, "data": found.data_root}
    for label, value in lines.items():
        if value:
            out.print(f"{label:<6}{value}", markup=False, soft_wrap=True)
    if secret := found.shown()["secret"]:
        out.print(
            f"admin {found.admin}, who logs in once with the secret in {secret}:\n"
            f"      screenalyzer login --user {found.admin} --secret-file {secret}",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _say(text: str) -> None:
    err.print(text, style="dim", markup=False, soft_wrap=True)
