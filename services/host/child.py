"""Child processes that end with this one, however it ends."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

# Linux sends the signal when the parent is gone; exec keeps that. The check notices a parent that died
# before. A preexec_fn would do the same, but may hang a process that has threads.
_TIE = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def spawn(words: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program that is killed when the calling thread ends; it writes to this process's stderr.

    Args:
        words: full path of the program, and its arguments.
        env: its environment; this process's where left out.
    """
    tie = [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid())]
    return subprocess.Popen([*tie, *words], env=env, stdin=subprocess.DEVNULL, stdout=2, stderr=2)


def end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask a child to end; kill it where it does not."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
