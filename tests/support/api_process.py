"""The API in a process that can be killed: `python -m support.api_process ROOT DATABASE_URL PORT`."""

import sys
from pathlib import Path

from support.killable import KillableServer
from support.service import free_port

_PATIENCE_S = 30.0


class ApiProcess(KillableServer):
    """The API on a data root and a database."""

    def __init__(self, root: Path, database_url: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        words = [str(root), database_url, str(port)]
        super().__init__("support.api_process", words, f"{self.url}/v1/health", _PATIENCE_S)


def _serve(root: str, database_url: str, port: str) -> None:
    import uvicorn  # noqa: PLC0415
    from support.databases import services_on  # noqa: PLC0415

    from services.api.app import create_app  # noqa: PLC0415

    app = create_app(services_on(Path(root), database_url), lambda _: None)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", lifespan="off", ws="none")


if __name__ == "__main__":
    _serve(*sys.argv[1:])
