"""How much of a cluster each part gets.

Everything that runs at once must fit, or Ray Data waits without a word: replicas, decoder actors and one
task together stay within the cluster's CPUs.
"""

from dataclasses import dataclass, replace
from typing import Literal

from screenalyzer.settings import RaySettings

Device = Literal["cpu", "cuda"]

_ROUNDING = 1e-6


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

    @property
    def gpus(self) -> float:
        """GPUs taken when everything runs."""
        return self.detector_replicas * self.detector_gpus + self.embedder_replicas * self.embedder_gpus


def plan_layout(cfg: RaySettings, cpus: float, gpus: float) -> Layout:
    """Spread the parts over a cluster.

    On CPUs a frame costs the detector about three times what it costs the decoder or the embedder, so of
    every six cores three detect; below that one of each shares what there is. On GPUs the models leave the
    CPUs to the decoders. A count that is chosen here gives way, down to one, to what does not fit.

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
    wanted = Layout(
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
    return _fitted(wanted, cfg, cpus, gpus)


def _fitted(layout: Layout, cfg: RaySettings, cpus: float, gpus: float) -> Layout:
    """Take away, one by one, from whichever part holds most of what there is too little of."""
    counts = ("detector_replicas", "embedder_replicas", "decoder_actors")
    free = [name for name in counts if getattr(cfg, name) is None]
    for kind, limit in (("gpus", gpus), ("cpus", cpus)):
        while getattr(layout, kind) > limit + _ROUNDING:
            held = {name: getattr(layout, name) * _each(layout, name, kind) for name in free}
            able = [name for name in free if getattr(layout, name) > 1 and held[name] > 0]
            if not able:
                break
            most = max(able, key=lambda name: held[name])
            layout = replace(layout, **{most: getattr(layout, most) - 1})
    return layout


def _each(layout: Layout, count: str, kind: str) -> float:
    """CPUs or GPUs that one of a part takes."""
    return float(getattr(layout, f"{count.split('_', maxsplit=1)[0]}_{kind}", 0.0))
