"""The review UI's process: Streamlit, which speaks to the API over HTTP and is given nothing else."""

import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from services.host import address
from services.host.child import end, spawn
from services.settings import ApiSettings, ServiceSettings

log = logging.getLogger(__name__)

_END_S = 3.0
_PATIENCE_S = 20.0
_MESSAGE_MB = 64  # a review of an episode, many times over
# What its process may see of the environment: nothing of the service, of Ray or of a cloud.
_PASSED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
})  # fmt: skip
_PASSED_GROUPS = ("LC_", "XDG_", "PYTHON", "STREAMLIT_", "OMP_", "OPENBLAS_")


class ReviewUi:
    """The review UI of one supervisor."""

    def __init__(self, cfg: ApiSettings, script: Path) -> None:
        """Take where it listens, and the script; nothing is started yet."""
        self._cfg, self._words = cfg, _command(cfg, script)
        self._env: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def find(cls, cfg: ApiSettings) -> "ReviewUi | None":
        """The review UI that is installed; None where none is."""
        found = find_spec("review_ui")
        if found is None or not found.submodule_search_locations:
            return None
        return cls(cfg, Path(found.submodule_search_locations[0]) / "app.py")

    def let_in(self, settings: ServiceSettings) -> ServiceSettings:
        """The service's settings, with which browsers may call the API from the UI's pages."""
        origins = dict.fromkeys((*settings.api.cors_origins, *address.ui_origins(self._cfg)))
        api = settings.api.model_copy(update={"cors_origins": tuple(origins)})
        return settings.model_copy(update={"api": api})

    def start(self, api: str, tls_cert: str | None) -> None:
        """Start it.

        Args:
            api: the API's address for somebody on this machine.
            tls_cert: its certificate, where it speaks HTTPS.
        """
        # A certificate is of a name, and that is the one that browsers use.
        url = self._cfg.public_url if tls_cert and self._cfg.public_url else api
        self._env = self._environment(api, url, tls_cert)
        self._process = spawn(self._words, self._env)

    def become(self, api: str, ca_cert: str | None) -> NoReturn:
        """Be the review UI from now on, in the place of this program.

        Args:
            api: the API's address for this process.
            ca_cert: certificate to trust; the public authorities where left out.
        """
        os.execve(self._words[0], self._words, self._environment(api, api, ca_cert))

    def wait(self) -> bool:
        """Wait until it listens; returns whether it does."""
        return address.wait_listening(self._cfg.host, self._cfg.ui_port, _PATIENCE_S, self._runs)

    def look_after(self) -> None:
        """Start it again where it has ended."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("the review UI ended (%s); another is started", self._process.returncode)
            self._process = spawn(self._words, self._env)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            end(self._process, _END_S)

    def _environment(self, api: str, url: str, ca_cert: str | None) -> dict[str, str]:
        """What its process is given: the API's address, and nothing else of the service."""
        passed = {k: v for k, v in os.environ.items() if k.upper() in _PASSED or k.startswith(_PASSED_GROUPS)}
        return {
            **passed,
            "SCREENALYZER_URL": url,
            "SCREENALYZER_PUBLIC_URL": address.public_url(self._cfg, api),
            "SCREENALYZER_CA_CERT": ca_cert or "",
        }

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _command(cfg: ApiSettings, script: Path) -> list[str]:
    """How Streamlit is started; colours and the rest are in `.streamlit/config.toml` beside the script."""
    host = address.host_of(address.ui_url(cfg))
    words = [
        sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true",
        "--server.address", cfg.host, "--server.port", str(cfg.ui_port),
        "--browser.serverAddress", host,  # else it asks the internet for its address
        "--browser.gatherUsageStats", "false",
        "--server.enableCORS", "true", "--server.enableXsrfProtection", "true",
        "--server.maxMessageSize", str(_MESSAGE_MB),
    ]  # fmt: skip
    for origin in address.ui_origins(cfg):
        words += ["--server.corsAllowedOrigins", origin]
    if cfg.tls_cert:
        words += ["--server.sslCertFile", str(cfg.tls_cert), "--server.sslKeyFile", str(cfg.tls_key)]
    return words
