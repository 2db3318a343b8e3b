"""The embedder `facenet`: Inception-ResNet v1 trained on VGGFace2, by facenet-pytorch."""

from pathlib import Path

import numpy as np
import torch
from facenet_pytorch.models.inception_resnet_v1 import BasicConv2d, InceptionResnetV1
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from screenalyzer.errors import ModelError
from screenalyzer.faces.align import FACENET_MARGIN, crop_box
from screenalyzer.faces.embedder import check_crops
from screenalyzer.faces.portions import run_in_portions
from screenalyzer.types import EmbedderId, Faces, Float32, UInt8
from screenalyzer.vectors import unit

CROP_SIZE = 160
DIM = 512


class _Network(nn.Module):
    """Takes uint8[n, 160, 160, 3]; normalisations of batches are folded into the convolutions before them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = torch.load(path, map_location="cpu", weights_only=True)
        net = InceptionResnetV1(pretrained=None, classify=False)
        try:
            # The released file ends in the classifier of its training, which embedding has no use for.
            net.load_state_dict({k: v for k, v in state.items() if not k.startswith("logits.")})
        except (RuntimeError, AttributeError) as e:
            raise ModelError(f"{path.name} does not hold the weights of Inception-ResNet v1: {e}") from e
        net.eval().requires_grad_(requires_grad=False)
        for part in net.modules():
            if isinstance(part, BasicConv2d):
                part.conv, part.bn = fuse_conv_bn_eval(part.conv, part.bn), nn.Identity()
        self.net = net

    def forward(self, crops: Tensor) -> Tensor:
        """float32[n, 512], unit length."""
        out: Tensor = self.net(crops.permute(0, 3, 1, 2).float().sub_(127.5).div_(128.0))
        return out


class FacenetEmbedder:
    """512-D vectors of 160x160 crops of the detector's boxes."""

    def __init__(self, path: Path, sha256: str, device: str) -> None:
        """Load the network from a file that has been checked.

        Raises:
            ModelError: the file holds something else.
        """
        self.id = EmbedderId("facenet", DIM, sha256)
        self.crop_size = CROP_SIZE
        self._device = torch.device(device)
        self._net = _Network(path).eval().to(self._device).to(memory_format=torch.channels_last)

    def align(self, frames: UInt8, faces: Faces) -> UInt8:
        """Boxes with a margin, resized to squares: what the network was evaluated on."""
        crops = np.zeros((len(faces), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        for i, (frame, box) in enumerate(zip(faces.frame, faces.boxes, strict=True)):
            crops[i] = crop_box(frames[frame], box, CROP_SIZE, FACENET_MARGIN)
        return crops

    def embed(self, crops: UInt8) -> Float32:
        """Unit vectors of crops."""
        check_crops(crops, CROP_SIZE)
        return unit(run_in_portions(self._net, crops, DIM, self._device))
