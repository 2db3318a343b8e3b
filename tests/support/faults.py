"""Faults that are really there: a full disk, a line that is cut, a damaged file."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.programs import cannot_run

_numbers = itertools.count()
_BLOCK = 64 << 10


@contextmanager
def small_disk(folder: Path, mib: float) -> Iterator[Path]:
    """A disk of so many MiB, mounted on the folder for the time of the block; that takes root."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={round(mib * 1024)}k,mode=700", "screenalyzer", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode:
        cannot_run(f"no disk can be mounted here: {done.stderr.strip() if done else 'that takes root'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the disk that a folder lies on, but for so many bytes; returns the file that does it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * _BLOCK)
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    return ballast


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut_in_half(path: Path) -> None:
    """Keep the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    """Keep the name alone, as some file systems do after a loss of power."""
    os.truncate(path, 0)


class FarHost:
    """Another host: a network namespace, reached by a line that can be cut without a word.

    Attributes:
        here: this host's address on the line.
        address: the other end's.
    """

    def __init__(self, number: int) -> None:
        self._name = f"far{os.getpid() % 100_000}-{number}"
        self._near = f"n{os.getpid() % 100_000}-{number}"
        net = f"10.{64 + os.getpid() % 64}.{number % 256}"
        self.here, self.address = f"{net}.1", f"{net}.2"
        self._running: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        """Make it.

        Raises:
            CalledProcessError: this machine does not let us.
        """
        _ip("netns", "add", self._name)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", "eth0", "netns", self._name)
        _ip("addr", "add", f"{self.here}/24", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip("-n", self._name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self._name, "link", "set", "eth0", "up")
        _ip("-n", self._name, "link", "set", "lo", "up")

    def start(self, words: Sequence[str], env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a program there, in a process group of its own."""
        there = ["ip", "netns", "exec", self._name, *words]
        process = subprocess.Popen(there, env=env, start_new_session=True, stdout=subprocess.DEVNULL)
        self._running.append(process)
        return process

    def cut(self) -> None:
        """From now on nothing that is sent either way arrives, and nobody is told."""
        _ip("-n", self._name, "route", "add", "blackhole", f"{self.here}/32")

    def heal(self) -> None:
        """Let it pass again."""
        _ip("-n", self._name, "route", "del", "blackhole", f"{self.here}/32")

    def running(self) -> list[int]:
        """Ids of the processes there."""
        words = ["ip", "netns", "pids", self._name]
        listed = subprocess.run(words, capture_output=True, text=True, check=True)
        return [int(pid) for pid in listed.stdout.split()]

    def kill(self) -> None:
        """SIGKILL all that runs there."""
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._running:
            process.wait()

    def remove(self) -> None:
        """Take it away."""
        with suppress(subprocess.CalledProcessError):
            self.kill()
        subprocess.run(["ip", "netns", "del", self._name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._near], capture_output=True, check=False)


@contextmanager
def far_host() -> Iterator[FarHost]:
    """Another host for the time of the block; that takes root, and leave to make namespaces."""
    host = FarHost(next(_numbers))
    try:
        try:
            host.build()
        except (OSError, subprocess.CalledProcessError) as e:
            cannot_run(f"no network namespace can be made here: {getattr(e, 'stderr', e)}")
        yield host
    finally:
        host.remove()


@dataclass
class Line:
    """A port that leads to a Unix socket, here or on another host."""

    socket: Path
    port: int
    host: FarHost | None = None
    _relay: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host.address if self.host else '127.0.0.1'}:{self.port}"

    def open(self) -> None:
        """Let it pass; waits until somebody listens."""
        name, port = self.address.split(":")
        words = [sys.executable, "-m", "support.relay", name, port, str(self.socket)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._relay = self.host.start(words, env) if self.host else subprocess.Popen(words, env=env)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((name, self.port), timeout=5).close()
            except OSError:
                assert time.monotonic() < deadline, f"nobody listens at {self.address}"
                time.sleep(0.05)
            else:
                return

    def cut(self) -> None:
        """Break what is open, and refuse what is asked anew."""
        if self._relay:
            self._relay.kill()
            self._relay.wait()
            self._relay = None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
