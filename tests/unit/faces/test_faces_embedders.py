import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1

from screenalyzer.errors import ModelError, ModelUnavailableError
from screenalyzer.faces.embedders import load_embedder, resolve_embedder_id
from screenalyzer.faces.mtcnn import no_faces
from screenalyzer.faces.weights import WeightFile
from screenalyzer.settings import EmbedSettings
from screenalyzer.types import Faces

_DLIB = EmbedSettings(embedder="dlib")


@pytest.fixture(scope="module")
def cast(picture, detector) -> tuple[np.ndarray, Faces]:
    """Three people, sixteen expressions each."""
    frames = np.stack([picture(p, "emotions_sheet", 960) for p in ("P001", "P003", "P007")])
    return frames, detector.detect(frames)


def test_dlib_tells_people_apart(cast):
    frames, faces = cast
    embedder = load_embedder(_DLIB, "cpu")
    assert embedder.id == resolve_embedder_id(_DLIB)
    assert (embedder.id.name, embedder.id.dim, embedder.crop_size) == ("dlib", 128, 150)
    crops = embedder.align(frames, faces)
    assert crops.shape == (len(faces), 150, 150, 3)
    vectors = embedder.embed(crops)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    distance = 1 - vectors @ vectors.T
    same = faces.frame[:, None] == faces.frame[None]
    assert np.quantile(distance[same], 0.99) < np.quantile(distance[~same], 0.01)


def test_dlib_averages_the_mirror_image_so_mirroring_changes_nothing(cast):
    frames, faces = cast
    embedder = load_embedder(_DLIB, "cpu")
    crops = embedder.align(frames, faces)[:4]
    np.testing.assert_allclose(embedder.embed(crops), embedder.embed(crops[:, :, ::-1]), atol=1e-6)


def test_a_vector_does_not_depend_on_the_others_in_its_batch(cast):
    frames, faces = cast
    embedder = load_embedder(_DLIB, "cpu")
    crops = embedder.align(frames, faces)[:5]
    together = embedder.embed(crops)
    for i in range(5):
        assert embedder.embed(crops[i : i + 1]).tobytes() == together[i : i + 1].tobytes()


def test_no_faces_no_vectors():
    embedder = load_embedder(_DLIB, "cpu")
    crops = embedder.align(np.zeros((2, 60, 80, 3), np.uint8), no_faces())
    assert crops.shape == (0, 150, 150, 3)
    assert embedder.embed(crops).shape == (0, 128)


def test_a_box_beyond_the_frame_gives_a_vector_all_the_same():
    faces = Faces(
        np.array([0]),
        np.array([[-40, -30, 20, 40]], np.float32),
        np.array([0.9], np.float32),
        np.array([[[-20, 0], [5, 0], [-8, 10], [-18, 25], [4, 25]]], np.float32),
    )
    frames = np.random.default_rng(0).integers(0, 255, (1, 90, 120, 3), dtype=np.uint8)
    embedder = load_embedder(_DLIB, "cpu")
    vector = embedder.embed(embedder.align(frames, faces))
    assert np.isfinite(vector).all()


def test_crops_of_another_size_are_refused():
    with pytest.raises(ModelError, match="150, 150, 3"):
        load_embedder(_DLIB, "cpu").embed(np.zeros((1, 112, 112, 3), np.uint8))


@pytest.fixture(scope="module")
def facenet(tmp_path_factory) -> tuple[WeightFile, EmbedSettings, InceptionResnetV1]:
    """A release of Inception-ResNet v1 with random weights and statistics, in a folder that is its mirror."""
    folder = tmp_path_factory.mktemp("mirror")
    torch.manual_seed(0)
    net = InceptionResnetV1(pretrained=None, classify=False).eval()
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):  # keeps the signal alive through all layers
            torch.nn.init.kaiming_normal_(part.weight)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.1)
    state = {**net.state_dict(), "logits.weight": torch.zeros(7, 512), "logits.bias": torch.zeros(7)}
    torch.save(state, folder / "net.pt")
    data = (folder / "net.pt").read_bytes()
    weights = WeightFile("net.pt", "http://127.0.0.1:9/net.pt", hashlib.sha256(data).hexdigest(), len(data))
    return weights, EmbedSettings(embedder="auto", cache_dir=folder / "cache", mirror=str(folder)), net


def test_facenet_is_the_stock_network_on_the_stock_crops(facenet, cast):
    weights, cfg, net = facenet
    frames, faces = cast
    embedder = load_embedder(cfg, "cpu", weights)
    assert embedder.id == resolve_embedder_id(cfg, weights)
    assert (embedder.id.name, embedder.id.dim, embedder.id.weights_sha256) == ("facenet", 512, weights.sha256)
    crops = embedder.align(frames, faces)[:5]
    found = embedder.embed(crops)
    with torch.inference_mode():
        wanted = net((torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 128).numpy()
    difference = np.abs(wanted[0] - wanted[4]).max()
    assert difference > 1e-3
    assert np.abs(found - wanted).max() < difference / 100


def test_facenet_refuses_the_weights_of_another_network(tmp_path: Path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "w.pt")
    sha = hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    cfg = EmbedSettings(embedder="facenet", cache_dir=tmp_path)
    with pytest.raises(ModelError, match="Inception-ResNet"):
        load_embedder(cfg, "cpu", WeightFile("w.pt", "http://127.0.0.1:9/w.pt", sha, 1))


# A protobuf field: key (number and wire type), then a varint or length and bytes.
def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor_info(name: str, dims: list[int | str]) -> bytes:
    shape = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _model(shape: list[int | str], axes_mean: list[int]) -> bytes:
    """An ONNX model that averages over two axes and leaves [n, 3]: ReduceMean, then times 3."""
    ints = b"".join(_field(8, a) for a in axes_mean)
    axes = _field(1, "axes") + ints + _field(20, 7)
    keep = _field(1, "keepdims") + _field(3, 0) + _field(20, 2)
    mean = _field(1, "x") + _field(2, "m") + _field(4, "ReduceMean") + _field(5, axes) + _field(5, keep)
    scale = _field(1, "m") + _field(1, "k") + _field(2, "y") + _field(4, "Mul")
    k = _field(1, 1) + _field(2, 1) + _field(8, "k") + _field(9, struct.pack("<f", 3.0))
    graph = _field(1, mean) + _field(1, scale) + _field(2, "g") + _field(5, k)
    graph += _field(11, _tensor_info("x", shape)) + _field(12, _tensor_info("y", ["n", 3]))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))


@pytest.fixture
def onnx_model(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "ours.onnx"
    path.write_bytes(_model(["n", 3, 32, 32], [2, 3]))
    about = {
        "name": "ours",
        "dim": 3,
        "size": 32,
        "colour": "BGR",
        "mean": [1, 2, 3],
        "span": 100,
        "licence": "own",
    }
    path.with_name("ours.onnx.json").write_text(json.dumps(about))
    return path


def test_onnx_does_what_its_description_says(onnx_model: Path, cast):
    frames, faces = cast
    cfg = EmbedSettings(embedder=f"onnx:{onnx_model}")
    embedder = load_embedder(cfg, "cpu")
    assert embedder.id == resolve_embedder_id(cfg)
    assert (embedder.id.name, embedder.id.dim) == ("onnx:ours", 3)
    crops = embedder.align(frames, faces)
    assert crops.shape == (len(faces), 32, 32, 3)
    means = crops[..., ::-1].astype(float).mean((1, 2))
    wanted = (means - [1, 2, 3]) / 100
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.embed(crops), wanted, atol=1e-5)


def test_onnx_takes_channels_last_and_plain_boxes(tmp_path: Path, cast):
    frames, faces = cast
    path = tmp_path / "nhwc.onnx"
    path.write_bytes(_model(["n", 24, 24, 3], [1, 2]))
    about = {
        "name": "b",
        "dim": 3,
        "size": 24,
        "layout": "NHWC",
        "alignment": "none",
        "licence": "own",
        "mirror": True,
    }
    path.with_name("nhwc.onnx.json").write_text(json.dumps(about))
    embedder = load_embedder(EmbedSettings(embedder=f"onnx:{path}"), "cpu")
    crops = embedder.align(frames, faces)
    x1, y1, x2, y2 = np.maximum(faces.boxes[0], 0).astype(int)
    box = cv2.resize(frames[0, y1:y2, x1:x2], (24, 24), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crops[0], box)
    wanted = (crops.astype(float).mean((1, 2)) - 127.5) / 127.5
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.embed(crops), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 4}, "not \\[1, 4\\] as described"),
        ({"size": 33}, "does not take its input"),
        ({"licence": ""}, "licence"),
        ({"layout": "CHW"}, "layout"),
        ({"span": 0}, "span"),
        ({"what": 1}, "what"),
    ],
)
def test_onnx_with_a_wrong_description_is_refused(onnx_model: Path, change: dict, message: str):
    beside = onnx_model.with_name("ours.onnx.json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        load_embedder(EmbedSettings(embedder=f"onnx:{onnx_model}"), "cpu")


def test_onnx_without_model_or_description_says_which(onnx_model: Path):
    cfg = EmbedSettings(embedder=f"onnx:{onnx_model}")
    onnx_model.with_name("ours.onnx.json").unlink()
    with pytest.raises(ModelUnavailableError, match=r"ours\.onnx\.json"):
        resolve_embedder_id(cfg)
    onnx_model.unlink()
    with pytest.raises(ModelUnavailableError, match="there is no model"):
        load_embedder(cfg, "cpu")


def test_onnx_that_is_no_model_is_named(onnx_model: Path):
    onnx_model.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot load"):
        load_embedder(EmbedSettings(embedder=f"onnx:{onnx_model}"), "cpu")
