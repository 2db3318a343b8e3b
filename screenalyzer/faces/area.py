"""Area-averaged resizing of whole frames and of many crops, out of one integral image.

MTCNN was trained on images shrunk by averaging areas. Every bin of such a resize is an integer rectangle
(`floor(i * n / m)` to `ceil((i + 1) * n / m)`, as in adaptive average pooling), so its sum is four look-ups
in an integral image: exact, and no loop over levels' pixels or over candidates.
"""

from functools import lru_cache

import cv2
import torch
from torch import Tensor

_MEAN, _SPAN = 127.5, 128.0  # MTCNN's input is (pixel - 127.5) / 128


def integral_images(frames: Tensor) -> Tensor:
    """Sums over all pixels above and left of each corner.

    32 bits wrap around on frames beyond 4096x2048; differences of look-ups stay right, since they wrap too
    and no bin's own sum comes near the limit.

    Args:
        frames: uint8[N, H, W, 3].

    Returns:
        int32[N, H + 1, W + 1, 3] on the same device.
    """
    if frames.device.type == "cpu":
        # OpenCV makes it in one pass; cumsum on a CPU takes thirty times as long.
        each = [torch.from_numpy(cv2.integral(f, sdepth=cv2.CV_32S)) for f in frames.numpy()]
        return each[0][None] if len(each) == 1 else torch.stack(each)
    n, h, w, c = frames.shape
    sums = torch.zeros((n, h + 1, w + 1, c), dtype=torch.int32, device=frames.device)
    sums[:, 1:, 1:] = frames.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return sums


@lru_cache(maxsize=256)
def _bins(source: int, target: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and one-past-last source index of each of `target` bins."""
    i = torch.arange(target, device=device)
    return i * source // target, -(-(i + 1) * source // target)


@lru_cache(maxsize=64)
def _weights(size: tuple[int, int], source: tuple[int, int], device: torch.device) -> Tensor:
    """float32[h, 3 * w]: what turns each bin's sum into a pixel of the network's input, less the mean."""
    (y0, y1), (x0, x1) = (_bins(s, t, device) for s, t in zip(source, size, strict=True))
    area = (y1 - y0)[:, None] * (x1 - x0).repeat_interleave(3)[None]
    return 1.0 / (_SPAN * area.float())


def area_resize(integrals: Tensor, height: int, width: int) -> Tensor:
    """Shrink whole frames.

    Args:
        integrals: int32[N, H + 1, W + 1, 3].
        height: lines of the result.
        width: columns of the result.

    Returns:
        float32[N, 3, height, width], channels last in memory, as MTCNN's networks take it.
    """
    source = (integrals.shape[1] - 1, integrals.shape[2] - 1)
    y0, y1 = _bins(source[0], height, integrals.device)
    x0, x1 = _bins(source[1], width, integrals.device)
    rows = integrals.index_select(1, y1).sub_(integrals.index_select(1, y0))
    sums = rows.index_select(2, x1).sub_(rows.index_select(2, x0))
    flat = sums.view(len(sums), height, width * 3).float()
    flat.mul_(_weights((height, width), source, integrals.device)).sub_(_MEAN / _SPAN)
    return flat.view(len(sums), height, width, 3).permute(0, 3, 1, 2)


def area_crops(integrals: Tensor, frame: Tensor, windows: Tensor, size: int) -> Tensor:
    """Cut windows out of frames and resize each to a square.

    Args:
        integrals: int32[N, H + 1, W + 1, 3].
        frame: int64[n], the frame of each window.
        windows: int64[n, 4], x0, y0, x1, y1 within the frame, half open, none empty.
        size: side of the result.

    Returns:
        float32[n, 3, size, size], channels last in memory, as MTCNN's networks take it.
    """
    lines, columns = integrals.shape[1:3]
    i = torch.arange(size, device=integrals.device)
    extent = windows[:, 2:] - windows[:, :2]
    first = windows[:, :2, None] + i * extent[:, :, None] // size
    last = windows[:, :2, None] - (-(i + 1) * extent[:, :, None] // size)
    base = (frame * lines)[:, None]
    top, bottom = (base + first[:, 1]) * columns, (base + last[:, 1]) * columns
    left, right = first[:, 0], last[:, 0]
    table = integrals.view(-1, 3)

    def corner(y: Tensor, x: Tensor) -> Tensor:
        return table.index_select(0, (y[:, :, None] + x[:, None, :]).view(-1))

    sums = corner(bottom, right).sub_(corner(top, right)).sub_(corner(bottom, left)).add_(corner(top, left))
    span = last - first
    area = (span[:, 1, :, None] * span[:, 0, None, :]).view(-1, 1)
    pixels = sums.float().mul_(1.0 / (_SPAN * area.float())).sub_(_MEAN / _SPAN)
    return pixels.view(len(windows), size, size, 3).permute(0, 3, 1, 2)
