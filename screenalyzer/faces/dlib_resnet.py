"""dlib's face recognition network in PyTorch, read from dlib's own file.

The network is `anet_type` of dlib's dnn_face_recognition_ex (King, 2017): 29 convolutions, each followed by a
fixed affine, 150x150 RGB in, 128 numbers out. Its file is a plain stream: an integer is a byte that gives its
size (the top bit its sign) and that many little-endian bytes; a tensor is a version, four dimensions, and
float32 data. The parameters follow the tags `con_4`, `affine_` and `fc_2`, in the order from input to output.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from screenalyzer.errors import ModelError
from screenalyzer.types import Float32

CHIP_SIZE = 150
DIM = 128
_MEAN = (122.782, 117.001, 104.298)
_SPAN = 256.0
_TENSOR_VERSION = 2
# Blocks from input to output: channels, and whether the block halves the size.
_BLOCKS = (
    *[(32, False)] * 3,
    (64, True),
    *[(64, False)] * 3,
    (128, True),
    *[(128, False)] * 2,
    (256, True),
    *[(256, False)] * 2,
    (256, True),
)
_TAG = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")


@dataclass(frozen=True)
class _Layer:
    kind: str
    params: Float32


class _Stream:
    """Reads dlib's integers and tensors from a place in the file."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def integer(self) -> int:
        head = self._data[self._at]
        size = head & 0x0F
        value = int.from_bytes(self._data[self._at + 1 : self._at + 1 + size], "little")
        self._at += 1 + size
        return -value if head & 0x80 else value

    def tensor(self) -> Float32:
        version = self.integer()
        shape = tuple(self.integer() for _ in range(4))
        count = int(np.prod(shape, dtype=np.int64))
        if version != _TENSOR_VERSION or count <= 0 or self._at + 4 * count > len(self._data):
            raise ModelError("the weight file of dlib's network is damaged: a tensor does not fit")
        values = np.frombuffer(self._data, "<f4", count, self._at)
        self._at += 4 * count
        return values.astype(np.float32)


def _layers(data: bytes) -> Iterator[_Layer]:
    for tag in _TAG.finditer(data):
        kind = tag.group()[2:].decode()
        stream = _Stream(data, tag.end())
        if kind == "fc_2":  # its count of outputs and of inputs come first
            stream.integer()
            stream.integer()
        yield _Layer(kind, stream.tensor())


def _folded(conv: _Layer, affine: _Layer, inputs: int, kernel: int, stride: int) -> nn.Conv2d:
    """One convolution that does the work of a convolution and the affine after it."""
    gain, shift = np.split(affine.params.astype(np.float64), 2)
    outputs = len(gain)
    count = outputs * inputs * kernel * kernel
    if (conv.kind, affine.kind) != ("con_4", "affine_") or len(conv.params) != count + outputs:
        raise ModelError("the weight file is not dlib's face recognition network: layers differ")
    weight = conv.params[:count].astype(np.float64).reshape(outputs, inputs, kernel, kernel)
    # dlib pads a convolution by half its kernel only where the stride is 1.
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)
    layer.weight = nn.Parameter(torch.from_numpy((weight * gain[:, None, None, None]).astype(np.float32)))
    layer.bias = nn.Parameter(torch.from_numpy((conv.params[count:] * gain + shift).astype(np.float32)))
    return layer


class _Block(nn.Module):
    def __init__(self, first: nn.Conv2d, second: nn.Conv2d, down: bool) -> None:
        super().__init__()
        self.first, self.second, self.down = first, second, down

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions and a shortcut; what is smaller is padded with zeros at its end, as dlib adds."""
        y = self.second(F.relu_(self.first(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            height, width = max(x.shape[2], y.shape[2]), max(x.shape[3], y.shape[3])
            x = F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, width - y.shape[3], 0, height - y.shape[2]))
        return F.relu_(y.add_(x) if not self.down else y + x)


class DlibResNet(nn.Module):
    """The network. Input: uint8[n, 150, 150, 3] RGB chips. Output: float32[n, 128], not normalised."""

    def __init__(self, path: Path) -> None:
        """Read the weights.

        Raises:
            ModelError: the file is damaged or holds another network.
        """
        super().__init__()
        self.head: Tensor
        self.mean: Tensor
        layers = list(_layers(path.read_bytes()))
        if len(layers) != 2 * (1 + 2 * len(_BLOCKS)) + 1 or layers[-1].kind != "fc_2":
            raise ModelError(f"{path.name} is not dlib's face recognition network: {len(layers)} layers")
        pairs = iter(zip(layers[0:-1:2], layers[1::2], strict=True))
        self.stem = _folded(*next(pairs), inputs=3, kernel=7, stride=2)
        blocks, inputs = [], 32
        for channels, down in _BLOCKS:
            first = _folded(*next(pairs), inputs=inputs, kernel=3, stride=2 if down else 1)
            second = _folded(*next(pairs), inputs=channels, kernel=3, stride=1)
            blocks.append(_Block(first, second, down))
            inputs = channels
        self.blocks = nn.Sequential(*blocks)
        self.register_buffer("head", torch.from_numpy(layers[-1].params.reshape(inputs, DIM)))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Describe chips."""
        x = chips.permute(0, 3, 1, 2).float().sub_(self.mean).div_(_SPAN)
        x = self.blocks(F.max_pool2d(F.relu_(self.stem(x)), 3, 2))
        out: Tensor = x.mean((2, 3)) @ self.head
        return out
