"""Publishes, publishes anew and removes below a mirrored root, in children that can be killed; a script.

usage: python -m support.store_kills ROOT

For each line on stdin a child is forked and its id printed. It stops itself before it begins, so that whoever
is to kill it can get ready, and begins when it is continued.
"""

import os
import signal
import sys
from pathlib import Path

from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths


def work(root: Path) -> None:
    """A chunk, the same chunk with other settings, the stage after it, and a purge."""
    paths = EpisodePaths(root, "s", "e")
    for settings in ("first", "second"):
        storage.remove(paths.chunk_marker(0))
        outputs = [paths.chunk_frames(0), paths.chunk_faces(0)]
        artifacts.write_many(paths.chunks, [(p.name, f"{settings} {p.name}".encode()) for p in outputs])
        artifacts.mark_done(paths.chunk_marker(0), settings, outputs)
    artifacts.write_json(paths.tracks, {"tracks": []})
    artifacts.mark_done(paths.marker("tracking"), "third", [paths.tracks])
    paths.purge()


def main() -> None:
    """A child a line."""
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            work(Path(sys.argv[1]))
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        print(child, flush=True)  # noqa: T201 - what the caller reads
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
