import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from screenalyzer.errors import ModelChecksumError, ModelUnavailableError, SettingsError
from screenalyzer.faces import weights
from screenalyzer.faces.embedders import resolve_embedder, resolve_embedder_id
from screenalyzer.faces.weights import WeightFile
from screenalyzer.settings import EmbedSettings

_CONTENT = bytes(range(256)) * 4096
_FILE = WeightFile(
    "face.pt", "http://127.0.0.1:9/face.pt", hashlib.sha256(_CONTENT).hexdigest(), len(_CONTENT)
)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves the file whole, another file, or half of what it announces."""

    def do_HEAD(self) -> None:
        self._head(len(_CONTENT))

    def do_GET(self) -> None:
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self._head(len(_CONTENT))
        if self.path.startswith("/other"):
            self.wfile.write(bytes(len(_CONTENT)))
        elif self.path.startswith("/half"):
            self.wfile.write(_CONTENT[: len(_CONTENT) // 2])
        else:
            self.wfile.write(_CONTENT)

    def _head(self, length: int) -> None:
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        serving = threading.Thread(target=httpd.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        serving.join()


def _left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_fetches_from_a_folder(tmp_path: Path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "face.pt").write_bytes(_CONTENT)
    cfg = EmbedSettings(cache_dir=tmp_path / "cache", mirror=str(tmp_path / "mirror"))
    path = weights.fetch(_FILE, cfg)
    assert path.read_bytes() == _CONTENT
    assert _left(tmp_path / "cache") == ["face.pt"]


def test_fetches_from_an_address_once_and_then_needs_no_network(tmp_path: Path, server: str):
    cfg = EmbedSettings(cache_dir=tmp_path, mirror=f"{server}/models/")
    assert weights.source_of(_FILE, cfg) == f"{server}/models/face.pt"
    assert weights.fetch(_FILE, cfg).read_bytes() == _CONTENT
    again = weights.fetch(_FILE, EmbedSettings(cache_dir=tmp_path, offline=True))
    assert again.read_bytes() == _CONTENT


def test_another_file_under_the_name_is_refused_and_not_kept(tmp_path: Path, server: str):
    with pytest.raises(ModelChecksumError, match=r"not face\.pt as published"):
        weights.fetch(_FILE, EmbedSettings(cache_dir=tmp_path, mirror=f"{server}/other"))
    assert _left(tmp_path) == []


def test_a_download_that_breaks_off_is_said_so_and_not_kept(tmp_path: Path, server: str):
    with pytest.raises(
        ModelUnavailableError, match=f"broke off after {len(_CONTENT) // 2} of {len(_CONTENT)}"
    ):
        weights.fetch(_FILE, EmbedSettings(cache_dir=tmp_path, mirror=f"{server}/half"))
    assert _left(tmp_path) == []


@pytest.mark.parametrize(
    "mirror", [None, "http://127.0.0.1:9", "{server}/missing", "{tmp}/nowhere", "ftp//x://:z"]
)
def test_not_to_be_had_says_which_file_goes_where(tmp_path: Path, server: str, mirror: str | None):
    where = mirror.format(server=server, tmp=tmp_path) if mirror else None
    cfg = EmbedSettings(cache_dir=tmp_path / "cache", mirror=where)
    with pytest.raises(ModelUnavailableError) as e:
        weights.fetch(_FILE, cfg)
    for part in ("face.pt", str(cfg.cache_dir), "embed.mirror", "'dlib'"):
        assert part in str(e.value)
    assert _left(tmp_path / "cache") == []


def test_offline_asks_nobody(tmp_path: Path, server: str):
    cfg = EmbedSettings(cache_dir=tmp_path, mirror=server, offline=True)
    assert not weights.is_fetchable(_FILE, cfg)
    with pytest.raises(ModelUnavailableError, match="offline"):
        weights.fetch(_FILE, cfg)


def test_a_damaged_cache_is_named(tmp_path: Path):
    (tmp_path / "face.pt").write_bytes(_CONTENT[:-1])
    with pytest.raises(ModelChecksumError, match="Delete it"):
        weights.fetch(_FILE, EmbedSettings(cache_dir=tmp_path))


def test_a_changed_file_has_a_new_digest(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert weights.digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert weights.digest(path) == hashlib.sha256(b"three").hexdigest()


def test_auto_is_facenet_where_its_weights_answer(tmp_path: Path, server: str):
    cfg = EmbedSettings(cache_dir=tmp_path, mirror=server)
    resolved = resolve_embedder(cfg, _FILE)
    assert resolved.embedder == "facenet"
    assert resolved.mirror == cfg.mirror
    offline = EmbedSettings(cache_dir=tmp_path, offline=True)
    assert resolve_embedder_id(offline, _FILE).weights_sha256 == _FILE.sha256


@pytest.mark.parametrize(
    "mirror", [None, "http://127.0.0.1:9", "{server}/missing", "{server}/half", "/nowhere"]
)
def test_auto_is_dlib_where_they_do_not(tmp_path: Path, server: str, mirror: str | None):
    where = mirror.format(server=server) if mirror else None
    began = time.monotonic()
    assert resolve_embedder_id(EmbedSettings(cache_dir=tmp_path, mirror=where), _FILE).name == "dlib"
    assert time.monotonic() - began < 3


def test_auto_does_not_wait_for_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cfg = EmbedSettings(cache_dir=tmp_path, mirror=f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert resolve_embedder(cfg, _FILE).embedder == "dlib"
        assert time.monotonic() - began < 7


def test_auto_is_dlib_where_a_proxy_answers_with_something_else(tmp_path: Path, server: str):
    cfg = EmbedSettings(cache_dir=tmp_path, mirror=f"{server}/other")
    assert resolve_embedder(cfg, _FILE).embedder == "dlib"
    assert _left(tmp_path) == []


def test_auto_with_a_wrong_file_in_the_cache_is_an_error_not_a_silent_choice(tmp_path: Path, server: str):
    (tmp_path / "face.pt").write_bytes(b"another")
    with pytest.raises(ModelChecksumError, match="Delete it"):
        resolve_embedder(EmbedSettings(cache_dir=tmp_path, mirror=server), _FILE)


# A file where a folder should be, and /proc, cannot be written to by anyone, root included.
@pytest.mark.parametrize("folder", ["{tmp}/file/cache", "{tmp}/file", "/proc/cache", "/proc"])
def test_auto_is_dlib_where_nothing_can_be_kept(tmp_path: Path, server: str, folder: str):
    (tmp_path / "file").touch()
    cfg = EmbedSettings(cache_dir=Path(folder.format(tmp=tmp_path)), mirror=server)
    assert resolve_embedder(cfg, _FILE).embedder == "dlib"
    with pytest.raises(ModelUnavailableError, match=r"kept.*'dlib'"):
        weights.fetch(_FILE, cfg)


@pytest.mark.parametrize("name", ["", "arcface", "onnx:", "Dlib"])
def test_an_unknown_embedder_is_named(name: str):
    with pytest.raises(SettingsError, match="Choose auto, facenet, dlib or onnx:PATH"):
        resolve_embedder_id(EmbedSettings(embedder=name))


def test_a_missing_package_says_what_to_install():
    with pytest.raises(ModelUnavailableError, match="pip install no_such_models"):
        weights.packaged("no_such_models", "x.dat")
