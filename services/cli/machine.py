"""`screenalyzer models` and `doctor`: what there is to work with, and what to do about the rest."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
import typer
from rich.markup import escape
from rich.table import Table

from screenalyzer.errors import ModelError, SettingsError
from screenalyzer.settings import Settings
from services.cli.console import AsJson, DataRoot, out, read_settings, say_json

_GIB = 1 << 30
_DISK_GIB, _MEMORY_GIB = 5, 8
_DECODERS = ("h264", "hevc", "vp9", "mpeg2video", "av1", "prores")

State = Literal["ok", "note", "broken"]
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "broken": "[red]broken[/red]"}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and what to do."""

    what: str
    state: State
    found: str
    advice: str = ""


def models(as_json: AsJson = False) -> None:
    """List every weight file: what for, from where, its licence, whether it is here, its sha256."""
    from screenalyzer.faces.models import catalogue  # noqa: PLC0415 - seconds that only this needs

    entries = catalogue(read_settings().embed)
    if as_json:
        say_json([{**asdict(e), "path": str(e.path) if e.path else None} for e in entries])
        return
    for e in entries:
        mark = "[green]here[/green]" if e.intact else "[yellow]not here[/yellow]"
        if e.present and not e.intact:
            mark = "[red]another file than the published one[/red]"
        out.print(f"[bold]{e.name}[/bold]  {mark}")
        lines = {
            "for": e.purpose,
            "from": e.source,
            "licence": e.licence,
            "sha256": e.sha256 or e.expected_sha256,
            "file": e.path,
        }
        for label, value in lines.items():
            out.print(f"  {label:<8}{value}", markup=False, soft_wrap=True)


def doctor(data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Try what the main job needs, and say what to do about what does not work.

    Exits with 1 if anything is broken.
    """
    settings = read_settings()
    checks: list[Callable[[], Finding]] = [
        _python,
        lambda: _disk(data_root),
        _memory,
        _decoders,
        lambda: _embedder(settings),
        _gpu,
        lambda: _ray(settings),
    ]
    findings = [check() for check in checks]
    if as_json:
        say_json([asdict(f) for f in findings])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for f in findings:
            table.add_row(_MARKS[f.state], f.what, escape(f.found + (f"\n{f.advice}" if f.advice else "")))
        out.print(table)
    if any(f.state == "broken" for f in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def _disk(root: Path) -> Finding:
    folder = root.absolute()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding(
            "data root",
            "broken",
            f"{folder} is not writable.",
            "Give rights to it, or name another --data-root.",
        )
    free = shutil.disk_usage(folder).free / _GIB
    if free < _DISK_GIB:
        return Finding(
            "data root",
            "note",
            f"{free:.1f} GiB free at {folder}.",
            f"An episode-hour takes about 0.5 GiB; keep {_DISK_GIB} GiB free.",
        )
    return Finding("data root", "ok", f"{free:.0f} GiB free at {folder}")


def _memory() -> Finding:
    available = psutil.virtual_memory().available / _GIB
    if available < _MEMORY_GIB:
        return Finding(
            "memory",
            "note",
            f"{available:.1f} GiB available.",
            f"The main job takes up to {_MEMORY_GIB} GiB with default settings; end other programs.",
        )
    return Finding("memory", "ok", f"{available:.0f} GiB available")


def _decoders() -> Finding:
    import av  # noqa: PLC0415 - seconds that only this needs

    missing = [c for c in _DECODERS if c not in av.codecs_available]
    if missing:
        return Finding(
            "decoders",
            "note",
            f"no {', '.join(missing)} in PyAV {av.__version__}.",
            "Videos in these codecs are refused; install PyAV's own wheel.",
        )
    return Finding("decoders", "ok", f"{', '.join(_DECODERS)} (PyAV {av.__version__})")


def _embedder(settings: Settings) -> Finding:
    from screenalyzer.faces.embedders import resolve_embedder_id  # noqa: PLC0415 - seconds that only this needs

    try:
        found = resolve_embedder_id(settings.embed)
    except ModelError as e:
        return Finding("embedder", "broken", str(e))
    if settings.embed.embedder == "auto" and found.name == "dlib":
        return Finding(
            "embedder",
            "note",
            f"auto takes {found}.",
            "facenet's weights are neither cached nor fetchable; `screenalyzer models` says where they go.",
        )
    return Finding("embedder", "ok", f"{settings.embed.embedder} takes {found}")


def _gpu() -> Finding:
    import torch  # noqa: PLC0415 - seconds that only the doctor needs

    if torch.cuda.is_available():
        return Finding(
            "gpu", "ok", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        )
    return Finding(
        "gpu",
        "note",
        "none; the models run on the CPU.",
        "With an NVIDIA GPU: install its driver, and screenalyzer[gpu] for clustering on it.",
    )


def _ray(settings: Settings) -> Finding:
    import ray  # noqa: PLC0415 - likewise

    from pipelines.cluster import cluster  # noqa: PLC0415 - likewise

    address = os.environ.get("RAY_ADDRESS")
    try:
        with cluster(settings.ray) as layout:
            cpus = ray.cluster_resources().get("CPU", 0)
    except SettingsError as e:
        return Finding("ray", "broken", str(e))
    except (ConnectionError, RuntimeError, OSError, ValueError) as e:
        advice = (
            "Unset RAY_ADDRESS for a local cluster, or start that one."
            if address
            else "Look at the lines above and at free memory."
        )
        return Finding("ray", "broken", f"{ray.__version__}: {e}", advice)
    where = f"the cluster at {address}" if address else "a local cluster"
    counts = {
        "detectors": layout.detector_replicas,
        "embedders": layout.embedder_replicas,
        "decoders": layout.decoder_actors,
    }
    parts = ", ".join(f"{name} {count}" for name, count in counts.items())
    return Finding(
        "ray", "ok", f"{ray.__version__}, {where}: {cpus:g} CPUs, models on {layout.device}; {parts}"
    )
