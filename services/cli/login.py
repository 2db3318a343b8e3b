"""`screenalyzer login` and `logout`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from screenalyzer.errors import ServiceError
from services.cli.client import Api, RefusedError
from services.cli.connected import talks
from services.cli.console import AsJson, err, out, say_json
from services.cli.credentials import Credentials, GivenToken, Login, credentials_path


def read_secret(prompt: str, from_stdin: bool, file: Path | None = None) -> str:
    """A password from a file, from the standard input, or from the terminal without an echo.

    Raises:
        ServiceError: there is none.
    """
    if file is not None:
        found = file.read_text(encoding="utf-8").strip()
    elif from_stdin:
        found = sys.stdin.readline().rstrip("\r\n")
    else:
        found = typer.prompt(prompt, hide_input=True, err=True)
    if not found:
        raise ServiceError(f"{prompt}: nothing was given.")
    return found


@talks
def login(
    api: Api,
    user: Annotated[str, typer.Option(help="Name of the user.")] = "admin",
    from_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password or one-time secret from stdin.")
    ] = False,
    secret_file: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Read it from a file, as `up` names one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Log in; the tokens are kept for this user of the machine, and renewed when needed."""
    answer = api.log_in(user, read_secret(f"password of {user}", from_stdin, secret_file))
    Credentials().put(api.url, Login.of(user, answer))
    must_set = bool(answer["must_set_password"])
    if as_json:
        path = str(credentials_path())
        say_json({"url": api.url, "user": user, "must_set_password": must_set, "credentials": path})
        return
    out.print(f"logged in at {api.url} as {user}", markup=False, soft_wrap=True)
    if must_set:
        err.print("Now set a password: `screenalyzer users password`. The secret is spent.", markup=False)


@talks
def logout(api: Api, as_json: AsJson = False) -> None:
    """End the login: its tokens are worth nothing from now on, here and at the service."""
    kept = Credentials().find(api.url)
    if kept is None and not isinstance(api.access, GivenToken):
        raise ServiceError(f"nobody is logged in at {api.url}.")
    try:
        api.send("POST", "/v1/auth/logout")
    except RefusedError as e:
        if e.status != 401:  # it has ended already
            raise
    finally:
        if kept is not None:
            Credentials().put(api.url, None)
    if as_json:
        say_json({"url": api.url, "user": kept.user if kept else None})
    else:
        out.print(f"logged out at {api.url}", markup=False, soft_wrap=True)
