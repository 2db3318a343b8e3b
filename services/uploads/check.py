"""Whether a file is a video, found out by opening it in a process of its own with little memory and time.

A decoder is a large program that reads what strangers send. Whatever it does with a file, crash, hang or
swell, ends with that process.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from screenalyzer.errors import EmptyVideoError, NotAVideoError, ScreenalyzerError, VideoError

TIMEOUT_S: Final = 60
CPU_S: Final = 30
MEMORY: Final = 1 << 30  # of address space; a 4K episode takes about 150 MB

_ADVICE = "Give a video such as MP4, MOV, MKV, WebM or TS"
_KINDS = {kind.__name__: kind for kind in VideoError.__subclasses__()}
_TOO_BIG = 3


class CheckFailedError(ScreenalyzerError):
    """The check itself did not run; this says nothing about the file."""


@dataclass(frozen=True)
class Limits:
    """What a check may take.

    Attributes:
        timeout_s: seconds on the clock.
        cpu_s: seconds of computing.
        memory: bytes of address space.
    """

    timeout_s: int = TIMEOUT_S
    cpu_s: int = CPU_S
    memory: int = MEMORY


def check_video(path: Path, limits: Limits | None = None) -> None:
    """Open a file as a video, pick the stream to analyse, and find its first packet; nothing is decoded.

    Raises:
        VideoError: it is none, or cannot be decoded, or opening it takes more than a video would.
        CheckFailedError: the check did not run.
    """
    limits = limits or Limits()
    asked = [str(path), str(limits.timeout_s), str(limits.cpu_s), str(limits.memory)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "services.uploads.check", *asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limits.timeout_s + 5,  # it ends itself before
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise _swells(path, "time") from e
    if done.returncode == 0:
        return
    if done.returncode < 0:
        timed_out = -done.returncode in {signal.SIGALRM, signal.SIGXCPU}
        raise _swells(path, "time") if timed_out else _swells(path, "memory, or breaks the decoder")
    raise _understand(path, done)


def _understand(path: Path, done: "subprocess.CompletedProcess[bytes]") -> ScreenalyzerError:
    if done.returncode == _TOO_BIG:
        return _swells(path, "memory")
    try:
        kind, what, advice = json.loads(done.stdout)
        return _KINDS[kind](path, what, advice)
    except (ValueError, KeyError):
        return CheckFailedError(
            f"checking {path} ended with {done.returncode}. "
            f"Run `python -m services.uploads.check {path}` to see why."
        )


def _swells(path: Path, of_what: str) -> VideoError:
    return NotAVideoError(path, f"opening it takes more {of_what} than a video does", _ADVICE)


def main(path: Path, limits: Limits) -> int:
    """The process: 0 for a video, else the error's kind, text and advice as JSON on the standard output."""
    _confine(limits)
    # Only under the limits is the decoder loaded.
    from screenalyzer.video.source import open_video, pick_stream, read_packets  # noqa: PLC0415

    try:
        with open_video(path) as container:
            stream = pick_stream(path, container)
            # An index that swells beyond the limits is left out by the library, which then finds no packet.
            if next(read_packets(container, [stream]), None) is None:
                raise EmptyVideoError(path, "not one frame of it can be found", _ADVICE)
    except VideoError as e:
        sys.stdout.write(json.dumps([type(e).__name__, e.what, e.advice]))
        return 2
    except MemoryError:
        return _TOO_BIG
    return 0


def _confine(limits: Limits) -> None:
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(limits.timeout_s)  # kills it also inside the decoder, and when nobody waits for it any more


if __name__ == "__main__":
    given = [int(n) for n in sys.argv[2:]]
    sys.exit(main(Path(sys.argv[1]), Limits(*given)))
