"""`backup` and `restore`: all that a service knows, into a folder and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from screenalyzer.settings import Settings
from services.backup.copy import Done, back_up
from services.backup.copy import restore as set_up
from services.backup.vault import Vault
from services.cli.console import AsJson, DataRoot, out, read_environment, say_error, say_json
from services.context import Services
from services.settings import ServiceSettings


def backup(
    target: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of backups.", file_okay=False)],
    data_root: DataRoot = Path("data"),
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Keep the signing keys too; guard the folder like them.")
    ] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="Backups to keep; older ones are removed.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Read a backup again and make none. Exit code 1 if it is damaged."),
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the backup to check; the newest if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database and the data root while the service runs; only what the last backup has not."""
    if check:
        _check(Vault(target), name, as_json)
        return
    if name:
        raise typer.BadParameter("--name goes with --check alone: a new backup is named by its time.")
    services = _services(data_root)
    report = (lambda _: None) if as_json else _say
    _tell(back_up(services, target, secrets=with_secrets, keep=keep, report=report), as_json)


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of backups.", exists=True)],
    data_root: DataRoot = Path("data"),
    name: Annotated[str | None, typer.Option("--name", help="Of the backup; the newest if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set a service up from a backup: DATABASE_URL names an empty database, --data-root an empty place."""
    services = _services(data_root)
    report = (lambda _: None) if as_json else _say
    _tell(set_up(services, source, name, report), as_json)


def _check(vault: Vault, name: str | None, as_json: bool) -> None:
    manifest, damaged = vault.find(name), list[str]()
    for place in vault.damaged(manifest):
        damaged.append(str(place))
        say_error(f"{place} is missing or damaged.")
    if as_json:
        say_json({"name": manifest.name, "files": len(manifest.files), "damaged": damaged})
    elif not damaged:
        out.print(f"{manifest.name}: all as it was written", markup=False, soft_wrap=True)
    if damaged:
        say_error(
            f"backup {manifest.name} cannot be restored. Remove the damaged contents and back up again: "
            "what is still in the data root is copied anew."
        )
        raise typer.Exit(1)


def _services(data_root: Path) -> Services:
    settings = read_environment(ServiceSettings).model_copy(update={"data_root": data_root.absolute()})
    settings.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Services(settings, read_environment(Settings))


def _say(what: str) -> None:
    out.print(what, markup=False)


def _tell(done: Done, as_json: bool) -> None:
    if as_json:
        say_json(asdict(done))
        return
    keys = "with" if done.secrets else "without"
    files = f"{done.files} files of {done.bytes / 1e6:.1f} MB ({done.copied} copied)"
    out.print(f"{done.name}: {done.rows} rows, {files}, {keys} the keys", markup=False, soft_wrap=True)
