"""A server in a process of its own that can be killed at any moment, and started again on the same port."""

import os
import signal
import subprocess
import sys
import time

import httpx


class KillableServer:
    """Runs a module of the tests."""

    def __init__(self, module: str, words: list[str], probe: str, patience_s: float) -> None:
        """Take what is run and how it is known to run.

        Args:
            module: to run as a program.
            words: its arguments.
            probe: URL that answers, whatever it says, once the server is there.
            patience_s: how long that may take.
        """
        self._command = [sys.executable, "-m", module, *words]
        self._probe, self._patience_s = probe, patience_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(self._command, env=environment)
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                httpx.options(self._probe)
                break
            except httpx.TransportError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
