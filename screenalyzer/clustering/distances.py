"""The one seam between CPU and GPU: cosine distances of unit vectors."""

import importlib.util
from typing import Literal

import numpy as np

from screenalyzer.errors import SettingsError
from screenalyzer.types import Float32, Float64

Backend = Literal["auto", "cpu", "gpu"]


def resolve_backend(backend: Backend) -> Literal["cpu", "gpu"]:
    """What a wish comes to on this machine.

    Raises:
        SettingsError: a GPU is asked for and there is none, or cuML is not installed.
    """
    if backend == "cpu":
        return "cpu"
    missing = _what_a_gpu_lacks()
    if not missing:
        return "gpu"
    if backend == "gpu":
        raise SettingsError(
            f"cluster.backend is gpu, but {missing}. Set SCREENALYZER_CLUSTER__BACKEND=auto to use the CPU "
            "where there is no GPU, or install the extra: pip install 'screenalyzer[gpu]'."
        )
    return "cpu"


def _what_a_gpu_lacks() -> str:
    import torch  # noqa: PLC0415 - a second to import, and nothing else here needs it

    if not torch.cuda.is_available():
        return "this machine has no CUDA GPU that torch can use"
    if importlib.util.find_spec("cuml") is None or importlib.util.find_spec("cupy") is None:
        return "cuML is not installed"
    return ""


def pairwise_cosine(vectors: Float32, backend: Backend = "auto") -> Float64:
    """Cosine distance of every pair.

    Args:
        vectors: float32[n, d], unit length.
        backend: see `resolve_backend`; both give the same within 1e-5.

    Returns:
        float64[n, n] in 0..2, exactly symmetric, exact zeros on the diagonal.

    Raises:
        SettingsError: see `resolve_backend`.
    """
    if len(vectors) == 0:
        return np.zeros((0, 0))
    distances = _on_gpu(vectors) if resolve_backend(backend) == "gpu" else cosine_to(vectors, vectors)
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0.0)
    return distances


def cosine_to(a: Float32 | Float64, b: Float32 | Float64) -> Float64:
    """One less the product of every row of a [n, d] with every row of b [m, d]: float64[n, m] in 0..2.

    The cosine distance of unit vectors, and the mean one of the vectors that templates are means of.
    """
    found = a.astype(np.float64, copy=False) @ b.astype(np.float64, copy=False).T
    np.subtract(1.0, found, out=found)
    return np.clip(found, 0.0, 2.0, out=found)


def _on_gpu(vectors: Float32) -> Float64:
    import cupy  # noqa: PLC0415 - there is none on a CPU machine
    from cuml.metrics import pairwise_distances  # noqa: PLC0415

    distances = cupy.asnumpy(pairwise_distances(cupy.asarray(vectors), metric="cosine"))
    return np.clip(np.asarray(distances, dtype=np.float64), 0.0, 2.0)
