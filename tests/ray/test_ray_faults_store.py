"""The object store is smaller than what is in flight, and its place on the disk is full as well."""

import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.clips import ClipSpec, counted, make_clip
from support.faults import fill, small_disk
from support.main_job import artifact_bytes, run
from support.processed import Machine

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.long]

# 100 MB a batch and three of them at once, in a store of 128 MiB.
_FULL = ("OutOfDiskError", "ObjectStoreFullError", "No space left on device")
_BATCH, _STORE, _AMPLE = "16", "128", "1024"

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of 1080p: sixty samples."""
    frames = itertools.islice(itertools.cycle(list(counted(25, 1920, 1080))), 300)
    return make_clip(tmp_path_factory.mktemp("video") / "large.mp4", frames, ClipSpec())


@pytest.fixture(scope="module")
def quiet(machine: Machine, video: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Its artifacts, made in this process without a store."""
    root = tmp_path_factory.mktemp("quiet")
    groups = {"ray": {"batch_frames": int(_BATCH)}, "embed": {"embedder": "dlib"}}
    settings = Settings.model_validate(groups)
    machine.process(video, EpisodePaths(root, "t", video.stem), settings)
    return artifact_bytes(root)


def _environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SCREENALYZER_", "RAY_"))}
    return {
        **kept,
        "SCREENALYZER_RAY__OBJECT_STORE_MB": _STORE,
        "SCREENALYZER_RAY__BATCH_FRAMES": _BATCH,
        "SCREENALYZER_EMBED__EMBEDDER": "dlib",
        "SCREENALYZER_EMBED__OFFLINE": "1",
        **more,
    }


@contextmanager
def _watched(folder: Path) -> Iterator[set[Path]]:
    """The files that come and go below a folder."""
    seen: set[Path] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            with suppress(OSError):  # one is gone while it is looked at
                seen.update(p for p in folder.rglob("*") if p.is_file())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_what_does_not_fit_goes_over_the_disk(video: Path, quiet: dict[str, bytes], tmp_path: Path) -> None:
    spill, took = tmp_path / "spill", {}
    spill.mkdir()
    for store in (_STORE, _AMPLE):
        root = tmp_path / store
        more = {"RAY_object_spilling_directory": str(spill), "SCREENALYZER_RAY__OBJECT_STORE_MB": store}
        with _watched(spill) as spilled:
            began = time.monotonic()
            done = run([video], root, _environment(**more))
            took[store] = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        assert artifact_bytes(root) == quiet
        assert bool(spilled) == (store == _STORE)
    log.info("seconds by the MiB of the store: %s", took)


def test_without_room_on_the_disk_it_says_so_or_goes_on(
    video: Path, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    with small_disk(tmp_path / "spill", 8) as spill:
        fill(spill, leave=64 << 10)
        done = run([video], root, _environment(RAY_object_spilling_directory=str(spill)), "--json")
        told = json.loads(done.stdout)[0]
        log.info("without room: %s", told)
        assert (done.returncode == 0) == (told["status"] == "done")
        if done.returncode:
            assert any(words in told["error"] for words in _FULL), told
    again = run([video], root, _environment())
    assert again.returncode == 0, again.stderr
    assert artifact_bytes(root) == quiet
