"""How much of a cluster each part gets.

On a cluster of fixed size everything that runs at once must fit, or Ray Data waits without a word: replicas,
decoder actors and one task together stay within its CPUs. An elastic cluster grows until what was asked for
fits, so there nothing is held against what it has at the moment.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from screenalyzer.settings import RaySettings

Device = Literal["cpu", "cuda"]

_ROUNDING = 1e-6

# A label of nodes that come and go: `gpu` or `cpu`. A node that lasts, such as the head, has neither.
NODE_KIND: Final = "screenalyzer.io/kind"

# The label by which Ray names each node. It binds an actor to a node, which a soft
# NodeAffinitySchedulingStrategy was seen not to do (docs/adr/0013-crew-and-elastic.md).
NODE_ID: Final = "ray.io/node-id"


@dataclass(frozen=True)
class Layout:
    """Resolved resources: counts, and CPUs and GPUs each.

    Where elastic, models scale by load up to `max_replicas`, and to none after `idle_s` seconds without any;
    counts of replicas are of no account then.
    """

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
    elastic: bool = False
    max_replicas: int = 1
    idle_s: float = 60.0

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

    @property
    def task_options(self) -> dict[str, Any]:
        """Options of a Ray task that computes for one stage."""
        return {"num_cpus": self.task_cpus, **self.without_gpus}

    @property
    def without_gpus(self) -> dict[str, Any]:
        """Keeps what needs no GPU away from the nodes that are paid for theirs."""
        return {"label_selector": {NODE_KIND: "!gpu"}} if self.elastic else {}

    @property
    def where_it_lasts(self) -> dict[str, Any]:
        """Keeps what lives long and computes little away from nodes that are to go when they are idle."""
        return {"label_selector": {NODE_KIND: "!in(gpu,cpu)"}} if self.elastic else {}


def plan_layout(cfg: RaySettings, cpus: float, gpus: float) -> Layout:
    """Spread the parts over a cluster.

    On CPUs a frame costs the detector about three times what it costs the decoder or the embedder, so of
    every six cores three detect; below that one of each shares what there is. On GPUs the models leave the
    CPUs to the decoders. A count that is chosen here gives way, down to one, to what does not fit.

    Args:
        cfg: what the user fixed; unset counts are chosen here.
        cpus: CPUs of the whole cluster; of no account where it is elastic.
        gpus: likewise its GPUs.
    """
    if cfg.elastic:
        return _elastic(cfg)
    device: Device = "cuda" if cfg.device == "cuda" or (cfg.device == "auto" and gpus > 0) else "cpu"
    cores = max(2, int(cpus))
    if device == "cuda":
        detectors, embedders, decoders = max(1, int(gpus)), max(1, int(gpus)), max(1, cores // 2 - 1)
    else:
        detectors, embedders, decoders = max(1, cores // 2 - 1), max(1, cores // 6), max(1, cores // 6)
    return _fitted(_layout(cfg, device, detectors, embedders, decoders), cfg, cpus, gpus)


def _elastic(cfg: RaySettings) -> Layout:
    device: Device = "cuda" if cfg.device == "cuda" else "cpu"
    layout = _layout(cfg, device, 1, 1, 1)
    return replace(layout, elastic=True, max_replicas=cfg.max_replicas, idle_s=cfg.idle_s)


def _layout(cfg: RaySettings, device: Device, detectors: int, embedders: int, decoders: int) -> Layout:
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
