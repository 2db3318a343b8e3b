"""MTCNN face detection, batched: the same cascade on a CPU and on a GPU, without a loop over candidates.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
Weights and networks are those of facenet-pytorch 2.5.3. What is written here is the cascade: an integral
image serves the pyramid and the crops (see `area.py`), the proposal network computes offsets where there are
candidates only, and everything between the networks is columns.
"""

import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from torch import Tensor, nn
from torchvision.ops import batched_nms

from screenalyzer.faces.area import area_crops, area_resize, integral_images
from screenalyzer.settings import DetectSettings
from screenalyzer.types import Faces, UInt8

_CELL, _STRIDE = 12, 2  # the proposal network looks at 12x12 windows, every second pixel
_LEVEL_FACTOR = 0.709  # about half the area from level to level
_REFERENCE_LINES = 720
# What fits a CPU's cache is fastest there; a frame by itself also has a result that knows no neighbours.
_CPU_FRAMES, _GPU_FRAMES = 1, 16
_CPU_PIXELS, _GPU_PIXELS = 8 * 48 * 48, 1024 * 48 * 48  # of the crops that a network is given at once


def no_faces() -> Faces:
    """The result where there are none."""
    return Faces(
        np.zeros(0, np.int64),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 5, 2), np.float32),
    )


@dataclass(frozen=True)
class _Candidates:
    """Columns over n candidate boxes: int64[n] frame, float32[n, 4] boxes, float32[n] score."""

    frame: Tensor
    boxes: Tensor
    score: Tensor

    def __getitem__(self, pick: Tensor) -> "_Candidates":
        return _Candidates(self.frame[pick], self.boxes[pick], self.score[pick])


class _Proposals:
    """The proposal network, laid out for speed: same numbers as `PNet`, to rounding.

    The face probability is a sigmoid of the difference of the two class scores, so one output map decides and
    the offsets are computed at the few places that pass. Pooling by slices and PReLU by three in-place
    operations beat the stock kernels several times on channels-last tensors.
    """

    def __init__(self, net: PNet, threshold: float) -> None:
        net.to(memory_format=torch.channels_last)
        self._net = net
        self._slope = [(p.weight - 1).view(1, -1, 1, 1) for p in (net.prelu1, net.prelu2, net.prelu3)]
        self._face = (net.conv4_1.weight[1] - net.conv4_1.weight[0]).flatten()
        self._face_bias = float(net.conv4_1.bias[1] - net.conv4_1.bias[0])
        self._offsets = net.conv4_2.weight.flatten(1).T.contiguous()
        self._logit = math.log(threshold / (1 - threshold))

    def _prelu(self, x: Tensor, layer: int) -> Tensor:
        return x.clamp(max=0).mul_(self._slope[layer]).add_(x)

    def __call__(self, level: Tensor, scale: float) -> tuple[_Candidates, Tensor]:
        """Candidates of one level and their float32[n, 4] offsets."""
        net = self._net
        x = _pool(self._prelu(net.conv1(level), 0))
        x = self._prelu(net.conv3(self._prelu(net.conv2(x), 1)), 2).permute(0, 2, 3, 1)
        logits = x @ self._face + self._face_bias
        frame, row, column = (logits >= self._logit).nonzero(as_tuple=True)
        offsets = x[frame, row, column] @ self._offsets + net.conv4_2.bias
        corner = torch.stack([column, row], 1).float() * _STRIDE + 1
        boxes = torch.cat([(corner / scale).floor(), ((corner + (_CELL - 1)) / scale).floor()], 1)
        return _Candidates(frame, boxes, logits[frame, row, column].sigmoid()), offsets


def _pool(x: Tensor) -> Tensor:
    """2x2 maximum with stride 2; an odd last line or column pools with itself."""
    for dim in (2, 3):
        pairs = x.shape[dim] // 2
        even, odd = (x[(slice(None),) * dim + (slice(start, None, 2),)] for start in (0, 1))
        if x.shape[dim] % 2:
            last = even.narrow(dim, pairs, 1)
            x = torch.cat([torch.maximum(even.narrow(dim, 0, pairs), odd), last], dim)
        else:
            x = torch.maximum(even, odd)
    return x


def _regress(boxes: Tensor, offsets: Tensor, inclusive: int) -> Tensor:
    """Move each side by an offset in box sizes; sizes count the last pixel where `inclusive` is 1."""
    size = boxes[:, 2:] - boxes[:, :2] + inclusive
    return boxes + offsets * size.repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """The square of the longer side about the same centre."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([corner, corner + side], 1)


def _nms_min(found: _Candidates, threshold: float) -> Tensor:
    """Suppression by overlap over the smaller box, within each frame; a face inside a face goes.

    Greedy suppression is the fixed point of "kept unless something kept and better overlaps", reached in a
    few rounds of whole-matrix steps (Zheng et al., "Cluster-NMS", 2020).

    Returns:
        int64[k], indices of the kept, best first.
    """
    order = found.score.argsort(descending=True, stable=True)
    boxes, frame = found.boxes[order], found.frame[order]
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low + 1).clamp_(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    over = common / torch.minimum(area[:, None], area[None]) > threshold
    over = (over & (frame[:, None] == frame[None])).triu(1)
    keep = torch.ones_like(frame, dtype=torch.bool)
    for _ in range(len(frame)):
        kept = ~(over & keep[:, None]).any(0)
        if torch.equal(kept, keep):
            break
        keep = kept
    return order[keep]


class MTCNN:
    """Face detector.

    On a CPU each frame is computed by itself, so that its faces do not depend, to the last bit, on the batch
    it came in.
    """

    def __init__(self, cfg: DetectSettings, device: str) -> None:
        """Load the three networks.

        Args:
            cfg: sizes and thresholds.
            device: cpu, cuda or cuda:N.
        """
        self._cfg = cfg
        self._device = torch.device(device)
        on_cpu = self._device.type == "cpu"
        self._frames = _CPU_FRAMES if on_cpu else _GPU_FRAMES
        self._pixels = _CPU_PIXELS if on_cpu else _GPU_PIXELS
        with torch.inference_mode():
            self._propose = _Proposals(self._load(PNet, "pnet"), cfg.thresholds[0])
            self._refine = self._load(RNet, "rnet")
            self._output = self._load(ONet, "onet")

    def _load(self, net: type[nn.Module], name: str) -> nn.Module:
        weights = files("facenet_pytorch").joinpath("data", f"{name}.pt")
        model: nn.Module = net(pretrained=False)
        model.load_state_dict(torch.load(str(weights), map_location="cpu", weights_only=True))
        return model.eval().to(self._device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, frames: UInt8) -> Faces:
        """Find the faces of a batch.

        Args:
            frames: uint8[N, H, W, 3], RGB.

        Returns:
            Faces ordered by frame, then left edge, then top edge. Boxes may reach beyond the frame, as the
            network's guess of where a cut face goes on.
        """
        if frames.size == 0:
            return no_faces()
        parts = [self._detect_some(frames, start) for start in range(0, len(frames), self._frames)]
        frame, boxes, conf, landmarks = (np.concatenate(column) for column in zip(*parts, strict=True))
        wanted = np.flatnonzero(conf >= self._cfg.min_conf)
        order = wanted[np.lexsort((boxes[wanted, 1], boxes[wanted, 0], frame[wanted]))]
        return Faces(frame[order], boxes[order], conf[order], landmarks[order])

    def levels(self, height: int, width: int) -> list[tuple[float, int, int]]:
        """The pyramid for a frame size: scale, lines, columns of each level.

        The smallest face looked for grows with the frame's shorter side, so the cost of a frame hardly
        depends on its resolution.
        """
        shorter = min(height, width)
        scale = _CELL / max(_CELL, self._cfg.min_face_px * shorter / _REFERENCE_LINES)
        levels = []
        while shorter * scale >= _CELL:
            levels.append((scale, int(height * scale + 1), int(width * scale + 1)))
            scale *= _LEVEL_FACTOR
        return levels

    def _detect_some(
        self, frames: UInt8, start: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        chunk = torch.from_numpy(np.ascontiguousarray(frames[start : start + self._frames])).to(self._device)
        integrals = integral_images(chunk)
        found = self._first_stage(integrals)
        found = self._second_stage(integrals, found)
        found, points = self._third_stage(integrals, found)
        frame = found.frame.cpu().numpy() + start
        return frame, found.boxes.cpu().numpy(), found.score.cpu().numpy(), points.cpu().numpy()

    def _first_stage(self, integrals: Tensor) -> _Candidates:
        levels = self.levels(integrals.shape[1] - 1, integrals.shape[2] - 1)
        parts = [self._propose(area_resize(integrals, h, w), scale) for scale, h, w in levels]
        if not parts:
            nowhere = torch.zeros(0, dtype=torch.int64, device=integrals.device)
            return _Candidates(nowhere, nowhere.float().view(0, 4), nowhere.float())
        found = _Candidates(
            torch.cat([p.frame for p, _ in parts]),
            torch.cat([p.boxes for p, _ in parts]),
            torch.cat([p.score for p, _ in parts]),
        )
        offsets = torch.cat([o for _, o in parts])
        counts = torch.tensor([len(o) for _, o in parts], device=integrals.device)
        level = torch.arange(len(parts), device=integrals.device).repeat_interleave(counts)
        pick = batched_nms(found.boxes, found.score, level * len(integrals) + found.frame, 0.5)
        found, offsets = found[pick], offsets[pick]
        pick = batched_nms(found.boxes, found.score, found.frame, 0.7)
        found, offsets = found[pick], offsets[pick]
        return _Candidates(found.frame, _square(_regress(found.boxes, offsets, 0)), found.score)

    def _run(
        self, net: nn.Module, integrals: Tensor, found: _Candidates, size: int
    ) -> tuple[_Candidates, list[Tensor]]:
        """A network over candidates, in portions of bounded memory; those outside the frame drop out."""
        limit = torch.tensor([integrals.shape[2] - 1, integrals.shape[1] - 1], device=integrals.device)
        # Corners count from 1 in this cascade, as in its first publication.
        whole = found.boxes.long()
        low, high = whole[:, :2].clamp(min=1) - 1, torch.minimum(whole[:, 2:], limit)
        inside = (high > low).all(1).nonzero()[:, 0]
        found, windows = found[inside], torch.cat([low, high], 1)[inside]
        portion = self._pixels // size**2
        outputs = [
            net(area_crops(integrals, found.frame[i : i + portion], windows[i : i + portion], size))
            for i in range(0, len(windows), portion)
        ]
        return found, [torch.cat(column) for column in zip(*outputs, strict=True)]

    def _second_stage(self, integrals: Tensor, found: _Candidates) -> _Candidates:
        found, outputs = self._run(self._refine, integrals, found, 24)
        if not outputs:
            return found
        offsets, score = outputs[0], outputs[1][:, 1]
        passed = (score > self._cfg.thresholds[1]).nonzero()[:, 0]
        found, offsets = _Candidates(found.frame[passed], found.boxes[passed], score[passed]), offsets[passed]
        pick = batched_nms(found.boxes, found.score, found.frame, 0.7)
        found, offsets = found[pick], offsets[pick]
        return _Candidates(found.frame, _square(_regress(found.boxes, offsets, 1)), found.score)

    def _third_stage(self, integrals: Tensor, found: _Candidates) -> tuple[_Candidates, Tensor]:
        found, outputs = self._run(self._output, integrals, found, 48)
        if not outputs:
            return found, torch.zeros((0, 5, 2), device=integrals.device)
        score = outputs[2][:, 1]
        passed = (score > self._cfg.thresholds[2]).nonzero()[:, 0]
        offsets, shape = outputs[0][passed], outputs[1][passed]
        frame, boxes, score = found.frame[passed], found.boxes[passed], score[passed]
        size = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None]
        points = shape.view(-1, 2, 5).transpose(1, 2) * size + boxes[:, None, :2] - 1
        found = _Candidates(frame, _regress(boxes, offsets, 1), score)
        pick = _nms_min(found, 0.7)
        return found[pick], points[pick]
