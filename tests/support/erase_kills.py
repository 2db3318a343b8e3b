"""Erases a person in child processes that are each killed at another moment; run as a script.

usage: python -m support.erase_kills NAMED_ROOT SHOW EPISODE FOLDER PERSON STEP

See `support.killing`.
"""

import sys
from pathlib import Path

from support.killing import kill_at_every

from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure import person


def main() -> None:
    """Kill and kill until one survives."""
    root, show, episode, folder, name, step = sys.argv[1:]

    def erase(copy: Path) -> None:
        person.erase(EpisodePaths(copy, show, episode), name)
        person.erase_from_facebank(copy, show, facebank.person_id(name))

    kill_at_every(int(step), Path(root), Path(folder), erase)


if __name__ == "__main__":
    main()
