"""The options of every command that talks to a service, and how the service is found."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from screenalyzer.errors import ServiceError
from services.cli.client import Api
from services.cli.console import DataRoot, err
from services.cli.credentials import GivenToken
from services.host.state import running

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="SCREENALYZER_URL", help="Address of the service; else of the one on --data-root."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="SCREENALYZER_TOKEN", help="Access token; else the login made by `login`.",
        show_envvar=True,
    ),
]  # fmt: skip
CaCert = Annotated[
    Path | None,
    typer.Option(
        "--ca-cert", envvar="SCREENALYZER_CA_CERT", dir_okay=False,
        help="Certificate, PEM, that the service's is checked with.",
    ),
]  # fmt: skip

_OPTIONS = {
    "url": (Url, None),
    "token": (Token, None),
    "data_root": (DataRoot, Path("data")),
    "ca_cert": (CaCert, None),
}


def connect(url: str | None, token: str | None, data_root: Path, ca_cert: Path | None) -> Api:
    """The service that was named, or else the one that runs on the data root.

    Raises:
        ServiceError: none was named, and none runs there.
    """
    if url is None:
        found = running(data_root.absolute())
        if found is None or found.api is None:
            raise ServiceError(
                f"no service runs on {data_root}. Start it with `screenalyzer up`, or name one with --url."
            )
        url = found.api
        ca_cert = ca_cert or (Path(found.tls_cert) if found.tls_cert else None)
    say = lambda text: err.print(text, style="yellow", markup=False, soft_wrap=True)  # noqa: E731
    return Api(url, GivenToken(token) if token else None, ca_cert, say)


def talks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is an Api, the options that say which."""
    own = list(inspect.signature(command).parameters.values())[1:]

    @wraps(command)
    def run(**given: Any) -> None:
        with connect(**{name: given.pop(name) for name in _OPTIONS}) as api:
            command(api, **given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    more = [inspect.Parameter(n, kind, default=d, annotation=a) for n, (a, d) in _OPTIONS.items()]
    run.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *more)}
    return run
