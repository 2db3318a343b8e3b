"""How much of a cluster each part gets.

Everything that runs at once must fit, or Ray Data waits without a word: replicas, decoder actors and one
task together stay within the cluster's CPUs.
"""

from dataclasses import dataclass
from typing import Literal

from screenalyzer.settings import RaySettings

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Layout:
    """Resolved resources: counts, and CPUs and GPUs each."""

    device: Device
    detector_replicas: int
    detector_cpus: float
    detector_gpus: float
    embedder_replicas: int
    embedder_cpus: float
    embedder_gpus: float
    decoder_actors: int
    decoder_cpus: float
    task_cpus: float

    @property
    def cpus(self) -> float:
        """CPUs taken when everything runs, with one stage task beside."""
        return (
            self.detector_replicas * self.detector_cpus
            + self.embedder_replicas * self.embedder_cpus
            + self.decoder_actors * self.decoder_cpus
            + self.task_cpus
        )


def plan_layout(cfg: RaySettings, cpus: float, gpus: float) -> Layout:
    """Spread the parts over a cluster.

    On CPUs a frame costs the detector about three times what it costs the decoder or the embedder, so of
    every six cores three detect; below that one of each shares what there is. On GPUs the models leave the
    CPUs to the decoders.

    Args:
        cfg: what the user fixed; unset counts are chosen here.
        cpus: CPUs of the whole cluster.
        gpus: GPUs of the whole cluster.
    """
    device: Device = "cuda" if cfg.device == "cuda" or (cfg.device == "auto" and gpus > 0) else "cpu"
    cores = max(2, int(cpus))
    if device == "cuda":
        detectors, embedders, decoders = max(1, int(gpus)), max(1, int(gpus)), max(1, cores // 2 - 1)
    else:
        detectors, embedders, decoders = max(1, cores // 2 - 1), max(1, cores // 6), max(1, cores // 6)
    return Layout(
        device=device,
        detector_replicas=cfg.detector_replicas or detectors,
        detector_cpus=cfg.detector_cpus,
        detector_gpus=cfg.detector_gpus if device == "cuda" else 0.0,
        embedder_replicas=cfg.embedder_replicas or embedders,
        embedder_cpus=cfg.embedder_cpus,
        embedder_gpus=cfg.embedder_gpus if device == "cuda" else 0.0,
        decoder_actors=cfg.decoder_actors or decoders,
        decoder_cpus=cfg.decoder_cpus,
        task_cpus=cfg.task_cpus,
    )
