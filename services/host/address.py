"""Where the service listens, and whether it can."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import psutil

from screenalyzer.errors import ServiceError, SettingsError
from services.settings import ApiSettings

_TRY_EVERY_S = 0.1
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
HEALTH = "/v1/health"


def api_url(cfg: ApiSettings, head: str = "127.0.0.1") -> str:
    """The API's address for somebody on this machine.

    Args:
        cfg: where it listens.
        head: address of the node that it listens on, shown where it listens on all of them.
    """
    return f"{_scheme(cfg)}://{_reachable(cfg.host, head)}:{cfg.port}"


def ui_url(cfg: ApiSettings) -> str:
    """The review UI's address, for somebody on this machine where no other is set."""
    return cfg.ui_public_url or _ui_origin(cfg, _reachable(cfg.host, "127.0.0.1"))


def public_url(cfg: ApiSettings, url: str) -> str:
    """The API's address for browsers.

    Args:
        cfg: where it listens.
        url: for somebody on this machine. Browsers elsewhere get the machine's own address in its place if
            the API listens on all of them.
    """
    if cfg.public_url:
        return cfg.public_url
    if _is_unspecified(cfg.host):
        return f"{_scheme(cfg)}://{_outward_address()}:{cfg.port}"
    return url


def host_of(url: str) -> str:
    """The host that an address names."""
    return urlsplit(url).hostname or ""


def ui_origins(cfg: ApiSettings) -> tuple[str, ...]:
    """Every origin that the review UI's pages may have in a browser."""
    if _is_unspecified(cfg.host):
        found = (a for addresses in psutil.net_if_addrs().values() for a in addresses)
        own = {a.address for a in found if a.family in {socket.AF_INET, socket.AF_INET6}}
        hosts = {"localhost", socket.gethostname(), *(_bracketed(a) for a in own if "%" not in a)}
    elif cfg.host in _LOOPBACK:
        hosts = {"localhost", _bracketed(cfg.host)}
    else:
        hosts = {_bracketed(cfg.host)}
    public = [cfg.ui_public_url] if cfg.ui_public_url else []
    return tuple(sorted({*public, *(_ui_origin(cfg, h) for h in hosts)}))


def check_port(host: str, port: int, setting: str) -> None:
    """Make sure that nobody listens there.

    Raises:
        ServiceError: somebody does, or there is no such address here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen()
        except OSError as e:
            raise ServiceError(
                f"port {port} of {host} cannot be used: {e.strerror}. Choose another with {setting}."
            ) from e


def check_tls(cfg: ApiSettings) -> None:
    """Make sure that certificate and key are there and belong together.

    Raises:
        SettingsError: they do not.
    """
    if cfg.tls_cert is None and cfg.tls_key is None:
        return
    if cfg.tls_cert is None or cfg.tls_key is None:
        raise SettingsError("set both SCREENALYZER_API__TLS_CERT and SCREENALYZER_API__TLS_KEY, or neither.")
    for path in (cfg.tls_cert, cfg.tls_key):
        if not path.is_file():
            raise SettingsError(f"{path} is missing. Correct SCREENALYZER_API__TLS_CERT or __TLS_KEY.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            cfg.tls_cert, cfg.tls_key, _ask_nobody
        )
    except (ssl.SSLError, ValueError) as e:
        raise SettingsError(
            f"{cfg.tls_cert} and {cfg.tls_key} are no certificate and its key in PEM, without a password: {e}"
        ) from e


def wait_healthy(url: str, patience_s: float, still: Callable[[], None]) -> None:
    """Wait until the API answers that it is well.

    Args:
        url: of the API.
        patience_s: seconds.
        still: called at each try; raises where there is no point in waiting on.

    Raises:
        ServiceError: it does not answer in time.
    """
    deadline, last = time.monotonic() + patience_s, "it does not answer"
    # It asks itself, on its own machine: whose certificate that is, is not the question.
    with httpx.Client(verify=False, trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline:
            still()
            try:
                answer = client.get(url + HEALTH)
            except httpx.HTTPError as e:
                last = f"{type(e).__name__}: {e}"
            else:
                if answer.status_code == 200:
                    return
                last = f"it answers {answer.status_code}: {answer.text[:300]}"
            time.sleep(_TRY_EVERY_S)
    raise ServiceError(f"the API at {url} is not well after {patience_s:.0f} s: {last}.")


def wait_listening(host: str, port: int, patience_s: float, still: Callable[[], bool]) -> bool:
    """Wait until somebody listens there; returns whether somebody does.

    Args:
        host: that it is told to listen on.
        port: likewise.
        patience_s: seconds.
        still: asked at each try whether there is a point in waiting on.
    """
    deadline, own = time.monotonic() + patience_s, "::1" if ":" in host else "127.0.0.1"
    there = own if _is_unspecified(host) else host
    while time.monotonic() < deadline and still():
        try:
            socket.create_connection((there, port), timeout=1).close()
        except OSError:
            time.sleep(_TRY_EVERY_S)
        else:
            return True
    return False


def _scheme(cfg: ApiSettings) -> str:
    return "https" if cfg.tls_cert else "http"


def _ui_origin(cfg: ApiSettings, host: str) -> str:
    return f"{_scheme(cfg)}://{host}:{cfg.ui_port}"


def _reachable(host: str, head: str) -> str:
    return head if _is_unspecified(host) else _bracketed(host)


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _outward_address() -> str:
    """The address that this machine speaks to others from; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # no network
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _ask_nobody() -> str:
    """The password of a key that has one; OpenSSL would ask the terminal for it."""
    return ""
