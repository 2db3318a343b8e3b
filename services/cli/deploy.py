"""`screenalyzer migrate` and `ui`: parts of the service on their own, for a container or a cluster."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from screenalyzer.errors import ServiceError
from services.cli.console import AsJson, DataRoot, out, read_environment, read_settings, say_json
from services.settings import ServiceSettings


def migrate(
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; exit with 1 where the tables are not of this version."),
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a database that is not ready.")] = 0,
    back_to: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION",
            help="Take migrations back for an older version; what only this one keeps is lost.",
        ),
    ] = None,
    data_root: DataRoot = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Bring the database to this version, and make the first Admin where there is none.

    `up` does this by itself. On a cluster it is done before a new version starts; two at once take turns.
    With --check --wait it waits until somebody else has done it.
    """
    from services.context import Services  # noqa: PLC0415 - libraries that only this needs
    from services.host.database import await_revision, prepare_database, take_back  # noqa: PLC0415 - likewise

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = read_environment(ServiceSettings).model_copy(update={"data_root": data_root.absolute()})
    services, admin = Services(settings, read_settings()), None
    if back_to is not None:
        take_back(services.database, back_to)
    elif not check:
        os.umask(0o077)
        admin = prepare_database(services, wait)
    found = await_revision(services.database, wait if check else 0)
    services.database.close()
    if found.found != found.wanted and back_to is None:
        raise ServiceError(
            f"the database has revision {found.found or 'none'}, and this version needs {found.wanted}. "
            "Run `screenalyzer migrate` of this version; one that is newer is left alone."
        )
    secret = str(admin.secret_path) if admin and admin.secret_path else None
    if as_json:
        say_json({"revision": found.found, "admin": admin.name if admin else None, "secret": secret})
        return
    out.print(f"the database has revision {found.found}", markup=False, soft_wrap=True)
    if admin and secret:
        out.print(f"{admin.name} logs in once with the secret in {secret}", markup=False, soft_wrap=True)


def ui(
    api: Annotated[
        str, typer.Option(envvar="SCREENALYZER_URL", help="The API's address for this process.")
    ] = "http://127.0.0.1:8000",
    ca_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="SCREENALYZER_CA_CERT", dir_okay=False, exists=True,
            help="Certificate to trust, where the API has one that no public authority has signed.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address that the review UI listens on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port.")] = None,
) -> None:  # fmt: skip
    """Run the review UI here until it is stopped, for an API that runs elsewhere.

    Browsers find the API by SCREENALYZER_API__PUBLIC_URL, else by the address that this process uses.
    """
    from services.host import address  # noqa: PLC0415 - libraries that only this needs
    from services.host.review_ui import ReviewUi  # noqa: PLC0415 - likewise

    cfg = read_environment(ServiceSettings).api
    typed = {"host": host, "ui_port": port, "public_url": cfg.public_url or api.rstrip("/")}
    cfg = cfg.model_copy(update={k: v for k, v in typed.items() if v is not None})
    found = ReviewUi.find(cfg)
    if found is None:
        raise ServiceError("the review UI is not installed: the package review_ui is missing.")
    address.check_tls(cfg)
    address.check_port(cfg.host, cfg.ui_port, "--port")
    found.become(api.rstrip("/"), str(ca_cert.absolute()) if ca_cert else None)
