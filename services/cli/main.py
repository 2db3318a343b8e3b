"""`screenalyzer`: the main job, its results and the service from a shell.

Exit codes: 0 all well, 1 something failed (each failure is one line on stderr), 2 wrong usage,
130 interrupted, 143 told to stop.
"""

import signal
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from screenalyzer import __version__
from screenalyzer.errors import ScreenalyzerError
from services.cli import (
    audit,
    backup,
    demo,
    deploy,
    jobs,
    keys,
    login,
    machine,
    process,
    purge,
    results,
    service,
    upload,
    users,
)
from services.cli.console import say_error

_INTERRUPTED, _STOPPED = 130, 143


class _Commands(TyperGroup):
    """Says what became of a command that was cut short; Typer would turn an interrupt into a mute exit."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say_error("interrupted. What is done is kept; the same command goes on from there.")
            raise typer.Exit(_INTERRUPTED) from None
        except SystemExit as e:
            if e.code == _STOPPED:
                say_error("stopped. What is done is kept; the same command goes on from there.")
            raise


app = typer.Typer(
    cls=_Commands,
    help="Turns TV episodes into per-person screen time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("process")(process.process)
app.command("demo")(demo.demo)
app.command("totals")(results.totals)
app.command("export")(results.export)
app.command("plot")(results.plot)
app.command("models")(machine.models)
app.command("doctor")(machine.doctor)
app.command("up")(service.up)
app.command("down")(service.down)
app.command("status")(service.status)
app.command("migrate")(deploy.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("ui")(deploy.ui)
app.command("login")(login.login)
app.command("logout")(login.logout)
app.command("upload")(upload.upload)
app.add_typer(jobs.app, name="jobs")
app.add_typer(users.app, name="users")
app.add_typer(purge.app, name="purge")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Turns TV episodes into per-person screen time."""


def main() -> None:
    """Run the command line; every expected error is one line on stderr."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))  # so that a cluster of our own is stopped
    warnings.simplefilter("ignore")  # a user's screen is for the user; the tests run with warnings as errors
    try:
        app()
    except ScreenalyzerError as e:
        say_error(str(e))
        sys.exit(1)
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        say_error(f"{where}{e.strerror or e}. Look at the path, the rights and the free disk.")
        sys.exit(1)


if __name__ == "__main__":
    main()
