"""A process that is killed at any moment of a publication leaves no marker without what it vouches for."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.object_store import ObjectStore

from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths

_TESTS = Path(__file__).parents[2]


def test_killed_after_every_write(node: Callable[[str], Path], store: ObjectStore) -> None:
    root = node("killed")
    words = [sys.executable, "-m", "support.store_kills", str(root)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=_TESTS, stdin=pipe, stdout=pipe, text=True) as zygote:
        assert zygote.stdin
        assert zygote.stdout
        kills = 0
        while True:
            zygote.stdin.write("go\n")
            zygote.stdin.flush()
            pid = int(zygote.stdout.readline())
            store.watch = _kill(pid, kills)
            os.kill(pid, signal.SIGCONT)
            code = int(zygote.stdout.readline())
            store.watch = None
            store.check_markers("root")
            _check_pulled(node(f"other {kills}"), store)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills += 1
        zygote.stdin.close()
    assert kills >= 10
    assert not store.keys("root")


def _kill(pid: int, after: int) -> Callable[[str, str, str], None]:
    left = after

    def watch(method: str, path: str, moment: str) -> None:
        nonlocal left
        left -= moment == "after"  # the store has it, and the writer does not know yet
        if left == -1 and moment == "after":
            os.kill(pid, signal.SIGKILL)

    return watch


def _check_pulled(root: Path, store: ObjectStore) -> None:
    """Another node sees what is in the store, and takes every marker that it sees for true."""
    paths = EpisodePaths(root, "s", "e")
    artifacts.pull(paths, chunks=True)
    for marker in (paths.chunk_marker(0), paths.marker("tracking")):
        made_from = artifacts.recorded_fingerprint(marker)
        assert made_from is None or artifacts.is_done(marker, made_from)
    here = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and p.name[0] != "."}
    assert here == store.keys("root")
