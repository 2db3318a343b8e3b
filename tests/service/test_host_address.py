"""Where the service listens: what cannot be is said before anything is started."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import ValidationError
from support.certificates import self_signed
from support.service import free_port

from screenalyzer.errors import ServiceError, SettingsError
from services.host.address import (
    api_url,
    check_port,
    check_tls,
    public_url,
    ui_origins,
    ui_url,
    wait_healthy,
    wait_listening,
)
from services.settings import ApiSettings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://10.1.2.3:81"),
        ("::", "http://10.1.2.3:81"),
        ("::1", "http://[::1]:81"),
        ("studio.example", "http://studio.example:81"),
    ],
)
def test_the_address_is_one_that_can_be_reached(host: str, url: str) -> None:
    assert api_url(ApiSettings(host=host, port=81), "10.1.2.3") == url


def test_https_and_the_ui(tmp_path: Path) -> None:
    cfg = ApiSettings(host="0.0.0.0", port=81, ui_port=82, tls_cert=tmp_path / "c", tls_key=tmp_path / "k")
    assert api_url(cfg) == "https://127.0.0.1:81"
    assert ui_url(cfg) == "https://127.0.0.1:82"
    assert ui_url(ApiSettings(ui_port=82)) == "http://127.0.0.1:82"
    assert ui_url(ApiSettings(ui_public_url="https://studio.example")) == "https://studio.example"


def test_browsers_come_to_an_address_that_they_can_reach() -> None:
    local = "http://127.0.0.1:81"
    assert public_url(ApiSettings(port=81), local) == local
    assert public_url(ApiSettings(public_url="https://api.example"), local) == "https://api.example"
    outward = urlsplit(public_url(ApiSettings(host="0.0.0.0", port=81), local))
    own = {a.address for found in psutil.net_if_addrs().values() for a in found}
    assert outward.hostname in own
    assert (outward.scheme, outward.port) == ("http", 81)


@pytest.mark.parametrize(
    ("cfg", "origins"),
    [
        ({}, ["http://127.0.0.1:82", "http://localhost:82"]),
        ({"host": "::1"}, ["http://[::1]:82", "http://localhost:82"]),
        ({"host": "studio.example"}, ["http://studio.example:82"]),
        (
            {"ui_public_url": "https://ui.example"},
            ["http://127.0.0.1:82", "http://localhost:82", "https://ui.example"],
        ),
        (
            {"host": "10.1.2.3", "tls_cert": Path("c"), "tls_key": Path("k")},
            ["https://10.1.2.3:82"],
        ),
    ],
)
def test_the_ui_has_exactly_these_origins(cfg: dict[str, Any], origins: list[str]) -> None:
    assert list(ui_origins(ApiSettings(ui_port=82, **cfg))) == origins


def test_a_ui_that_listens_everywhere_has_every_address_of_the_machine() -> None:
    found = ui_origins(ApiSettings(host="0.0.0.0", ui_port=82))
    addresses = [a for f in psutil.net_if_addrs().values() for a in f if a.family == socket.AF_INET]
    assert {f"http://{a.address}:82" for a in addresses} < set(found)
    assert f"http://{socket.gethostname()}:82" in found
    assert "http://localhost:82" in found
    assert not any("%" in o or "*" in o for o in found)


@pytest.mark.parametrize(
    "url", ["api.example", "ftp://x", "https://x/v1", "https://x/", "https://u@x", "https://"]
)
def test_a_public_address_is_an_origin(url: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(public_url=url)


def test_waiting_for_somebody_to_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert wait_listening("0.0.0.0", port, 1, lambda: True)
        assert wait_listening("127.0.0.1", port, 1, lambda: True)
    assert not wait_listening("127.0.0.1", free_port(), 0.3, lambda: True)
    assert not wait_listening("127.0.0.1", free_port(), 60, lambda: False)


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_is_taken(shared: bool) -> None:
    with socket.socket() as other:
        if shared:  # Serve's proxy would listen beside another one without a word
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} of 127.0.0.1 .* in use.*--port"):
            check_port("127.0.0.1", port, "--port")
    check_port("127.0.0.1", port, "--port")


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ServiceError, match=r"port 80 of 192\.0\.2\.1 cannot be used"):
        check_port("192.0.2.1", 80, "--port")


def test_a_certificate_and_its_key(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    check_tls(ApiSettings(tls_cert=cert, tls_key=key))
    check_tls(ApiSettings())


def test_tls_settings_that_cannot_be(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    _, foreign = self_signed(tmp_path / "other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for given, said in (
        ((cert, None), "set both"),
        ((None, key), "set both"),
        ((tmp_path / "none.pem", key), "none.pem is missing"),
        ((cert, foreign), "no certificate and its key"),
        ((text, key), "no certificate and its key"),
    ):
        with pytest.raises(SettingsError, match=said):
            check_tls(ApiSettings(tls_cert=given[0], tls_key=given[1]))


class _Sick(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"the database is away")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sick() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Sick) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_api_that_is_not_well_is_not_waited_for_forever(sick: str) -> None:
    with pytest.raises(ServiceError, match="answers 503: the database is away"):
        wait_healthy(sick, 0.3, lambda: None)
    with pytest.raises(ServiceError, match="ConnectError"):
        wait_healthy(f"http://127.0.0.1:{free_port()}", 0.3, lambda: None)


def test_waiting_ends_where_there_is_no_point_in_it(sick: str) -> None:
    def gone() -> None:
        raise ServiceError("the replica died")

    with pytest.raises(ServiceError, match="the replica died"):
        wait_healthy(sick, 60, gone)
