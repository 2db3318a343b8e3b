"""`screenalyzer keys`: what tokens and URLs are signed with."""

from pathlib import Path
from typing import Annotated

import typer

from screenalyzer.errors import ServiceError
from screenalyzer.settings import Settings
from services.cli.console import AsJson, DataRoot, out, read_environment, say_json
from services.settings import ServiceSettings

app = typer.Typer(help="Keys that tokens and URLs are signed with.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Keys that tokens and URLs are signed with."""


@app.command()
def new() -> None:
    """Print a new key as SCREENALYZER_SIGNING_KEYS takes it, for a service whose keys lie in no file."""
    from services.access.keys import new_keys  # noqa: PLC0415 - what loads the database waits until now

    out.print(new_keys(), markup=False, highlight=False, soft_wrap=True)


@app.command()
def rotate(
    data_root: DataRoot = Path("data"),
    end_all: Annotated[
        bool, typer.Option("--end-all", help="Forget the old key too: every token and URL ends at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign with a new key from now on, on the service's own machine; it need not be restarted.

    What the last key has signed is good until it expires; what older ones have signed is not.
    """
    from services.access.keys import KEYS_FILE  # noqa: PLC0415 - what loads the database waits until now
    from services.access.trail import SYSTEM, record  # noqa: PLC0415 - likewise
    from services.context import Services  # noqa: PLC0415 - likewise

    settings = read_environment(ServiceSettings).model_copy(update={"data_root": data_root.absolute()})
    if settings.signing_keys is None and not (settings.secrets / KEYS_FILE).exists():
        raise ServiceError(f"there are no keys in {settings.secrets}. Name the service's --data-root.")
    services = Services(settings, Settings())
    kid = services.keyring.rotate(1 if end_all else 2)
    record(services, "keys.rotated", SYSTEM, {"kid": kid, "end_all": end_all})
    if as_json:
        say_json({"kid": kid, "folder": str(settings.secrets)})
    else:
        out.print(f"a new key signs: {kid}", markup=False)
