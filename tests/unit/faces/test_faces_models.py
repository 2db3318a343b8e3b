import hashlib
from pathlib import Path

from screenalyzer.faces.models import catalogue
from screenalyzer.settings import EmbedSettings

_DOCS = Path(__file__).resolve().parents[3] / "docs" / "models.md"


def test_packaged_weights_are_here_and_the_published_ones(tmp_path: Path):
    found = {m.name: m for m in catalogue(EmbedSettings(cache_dir=tmp_path))}
    packaged = [m for m in found.values() if m.name != "20180402-114759-vggface2.pt"]
    assert len(packaged) == 5
    for model in packaged:
        assert model.present
        assert model.intact
        assert model.path is not None
        assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
        assert model.licence
        assert model.source
    facenet = found["20180402-114759-vggface2.pt"]
    assert not facenet.present
    assert not facenet.intact
    assert facenet.path == tmp_path / facenet.name


def test_a_wrong_file_is_present_but_not_intact(tmp_path: Path):
    (tmp_path / "20180402-114759-vggface2.pt").write_bytes(b"x")
    (facenet,) = [m for m in catalogue(EmbedSettings(cache_dir=tmp_path)) if "vggface2" in m.name]
    assert facenet.present
    assert not facenet.intact


def test_a_studios_model_is_listed_even_where_it_is_missing(tmp_path: Path):
    last = catalogue(EmbedSettings(cache_dir=tmp_path, embedder=f"onnx:{tmp_path / 'm.onnx'}"))[-1]
    assert last.name == "m.onnx"
    assert not last.present
    assert "no model" in last.purpose


def test_the_documentation_names_every_file_and_digest(tmp_path: Path):
    text = _DOCS.read_text()
    for model in catalogue(EmbedSettings(cache_dir=tmp_path)):
        assert model.name in text
        assert model.expected_sha256 in text
