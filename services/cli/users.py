"""`screenalyzer users`: who may log in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from screenalyzer.errors import ServiceError
from screenalyzer.settings import Settings
from services.access import names
from services.cli.client import Api
from services.cli.connected import talks
from services.cli.console import AsJson, DataRoot, out, read_environment, say_json
from services.cli.login import read_secret
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.context import Services

app = typer.Typer(help="Who may log in. Listing and changing them is an Admin's.", no_args_is_help=True)

_Role = Literal["admin", "analyst"]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@app.command("list")
@talks
def list_users(api: Api, as_json: AsJson = False) -> None:
    """List the users."""
    found = list(api.items("/v1/users"))
    if as_json:
        say_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "role", "may log in", "password"):
        table.add_column(name)
    for user in found:
        password = "one-time secret" if user["must_set_password"] else "set"
        table.add_row(user["name"], user["role"], "yes" if user["active"] else "no", password)
    out.print(table)


@app.command()
@talks
def add(
    api: Api,
    name: Name,
    role: Annotated[_Role, typer.Option(help="What the user may do.")] = "analyst",
    as_json: AsJson = False,
) -> None:
    """Create a user, and print the one-time secret for the first login."""
    _show_secret(api.send("POST", "/v1/users", {"name": name, "role": role}), as_json)


@app.command("set")
@talks
def change(
    api: Api,
    name: Name,
    role: Annotated[_Role | None, typer.Option(help="What the user may do.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Whether the user may log in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a user's role, or stop the user from logging in."""
    wanted = {k: v for k, v in {"role": role, "active": active}.items() if v is not None}
    if not wanted:
        raise typer.BadParameter("say what is to change: --role, --active or --inactive")
    user = _find(api, name)
    found = api.send("PATCH", f"/v1/users/{user['id']}", wanted, revision=user["revision"])
    if as_json:
        say_json(found)
    else:
        state = "may log in" if found["active"] else "may not log in"
        out.print(f"{found['name']}: {found['role']}, {state}", markup=False, soft_wrap=True)


@app.command()
@talks
def reset(api: Api, name: Name, as_json: AsJson = False) -> None:
    """Put a one-time secret in the place of a user's password, end every login of the user, and print it."""
    user = _find(api, name)
    found = api.send("POST", f"/v1/users/{user['id']}/secret", revision=user["revision"])
    _show_secret(found, as_json)


@app.command()
@talks
def remove(api: Api, name: Name, as_json: AsJson = False) -> None:
    """Delete a user. Uploads and jobs of the user stay."""
    user = _find(api, name)
    api.send("DELETE", f"/v1/users/{user['id']}", revision=user["revision"])
    if as_json:
        say_json({"removed": user["name"]})
    else:
        out.print(f"{user['name']} is removed", markup=False, soft_wrap=True)


@app.command()
@talks
def password(
    api: Api,
    from_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read from stdin: the new one, then the current one if any."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set your own password. Every other login of yours ends."""
    me = api.get("/v1/users/me")
    body = {"new_password": read_secret("new password", from_stdin)}
    if not from_stdin and read_secret("the same again", from_stdin) != body["new_password"]:
        raise ServiceError("the two are not the same; nothing was changed.")
    if not me["must_set_password"]:
        body["current_password"] = read_secret("current password", from_stdin)
    api.send("PUT", "/v1/users/me/password", body)
    if as_json:
        say_json({"user": me["name"]})
    else:
        out.print(f"the password of {me['name']} is set", markup=False, soft_wrap=True)


@app.command("reset-admin")
def reset_admin(
    data_root: DataRoot = Path("data"),
    name: Annotated[
        str | None, typer.Option("--user", help="Which Admin; the oldest where left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let an Admin in who is locked out: on the service's own machine, with the right to its files.

    Writes a one-time secret into the file that `up` names, and ends every login of that Admin.
    """
    from services.context import Services  # noqa: PLC0415 - only for whoever is at the machine itself

    settings = read_environment(ServiceSettings).model_copy(update={"data_root": data_root.absolute()})
    if settings.database_url is None and not (settings.root / "service.db").exists():
        raise ServiceError(f"there is no database of a service in {data_root}. Name its --data-root.")
    services = Services(settings, Settings())
    who, path = _reset_admin(services, name)
    if as_json:
        say_json({"admin": who, "secret": str(path)})
    else:
        out.print(f"{who} logs in once with the secret in {path}", markup=False, soft_wrap=True)


def _reset_admin(services: "Services", name: str | None) -> tuple[str, Path]:
    from sqlalchemy import select  # noqa: PLC0415 - only for whoever is at the machine itself
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - likewise

    from services.access import one_time, private, users  # noqa: PLC0415 - likewise
    from services.access.first_admin import secret_file  # noqa: PLC0415 - likewise
    from services.access.trail import SYSTEM, record  # noqa: PLC0415 - likewise
    from services.db.models import User  # noqa: PLC0415 - likewise

    admins = select(User).where(User.role == "admin", User.active).order_by(User.created_at, User.id)
    if name is not None:
        admins = admins.where(User.name_key == names.key(name))
    fresh, path = one_time.make(services.settings.access), secret_file(services)
    try:
        with services.database.write() as session:
            user = session.scalar(admins.limit(1).with_for_update())
            if user is None:
                who = f"is no active Admin {name!r}" if name else "is no active Admin; `up` makes one"
                raise ServiceError(f"there {who}.")
            users.reset_secret(session, user, fresh)
            private.write(path, f"{fresh.text}\n".encode())
            who, details = user.name, {"user": user.name, "user_id": user.id}
    except OperationalError as e:
        raise ServiceError(f"there is no database of the service: {e.orig}. Name its --data-root.") from e
    record(services, "user.secret-reset", SYSTEM, details)
    return who, path


def _find(api: Api, name: str) -> dict[str, Any]:
    wanted = names.key(name)
    found = next((u for u in api.items("/v1/users") if names.key(u["name"]) == wanted), None)
    if found is None:
        raise ServiceError(f"there is no user {name!r}. `screenalyzer users list` shows them.")
    return found


def _show_secret(user: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(user)
    elif user["secret"] is None:  # it was sent twice, since the first answer was lost
        out.print(
            f"{user['name']}: the secret was lost on its way. Make another with "
            f"`screenalyzer users reset {user['name']}`.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    else:
        out.print(
            f"{user['name']} ({user['role']}) logs in once with the secret {user['secret']}\n"
            f"before {user['secret_until']}, and then sets a password. It is not shown again.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
