"""Kills a piece of work at one moment after another, each time on a fresh copy of a data root.

A moment is a change to the file system: opening a file to write, a rename, a removal.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_CHANGES = frozenset({"os.remove", "os.rename", "os.rmdir"})


def kill_at_every(step: int, root: Path, folder: Path, work: Callable[[Path], None]) -> None:
    """Do the work in child processes, each killed (SIGKILL) just before its next `step`-th moment.

    Prints the number of copies; the last child reaches its end. Children are forked, so this is to be called
    before any thread starts.

    Args:
        step: how many moments later each child is killed.
        root: what is copied.
        folder: where the copies are made, numbered.
        work: is given the copy.
    """
    for n in range(10_000):
        copy = folder / f"{n:04d}"
        shutil.copytree(root, copy)
        child = os.fork()
        if child == 0:
            _die_after(n * step)
            work(copy)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            print(n)  # noqa: T201 - what the caller reads
            return
        if status != -signal.SIGKILL:
            sys.exit(f"a child ended with {status}")


def _die_after(survive: int) -> None:
    """Let so many moments pass, and end this process at the next."""
    left = survive

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(args[1], str) and "w" in args[1]
        if (event in _CHANGES or writes) and left >= 0:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
