"""Running a network over many crops in portions of one fixed shape."""

import numpy as np
import torch
from torch import nn

from screenalyzer.types import Float32, UInt8

_CPU, _GPU = 4, 64


def run_in_portions(net: nn.Module, crops: UInt8, dim: int, device: torch.device) -> Float32:
    """Outputs float32[n, dim] of a network for crops uint8[n, S, S, 3].

    Every call has the same shape, the last one filled up with black. So memory is bounded, and a crop's
    vector does not depend, to the last bit, on how many others came with it: convolution kernels are chosen
    by shape.
    """
    portion = _CPU if device.type == "cpu" else _GPU
    results = np.empty((len(crops), dim), np.float32)
    with torch.inference_mode():
        for start in range(0, len(crops), portion):
            some = crops[start : start + portion]
            batch = np.zeros((portion, *crops.shape[1:]), np.uint8)
            batch[: len(some)] = some
            out = net(torch.from_numpy(batch).to(device))
            results[start : start + len(some)] = out[: len(some)].cpu().numpy()
    return results
