"""Prints what pyproject.toml asks for, a line each: `python tools/requirements.py [EXTRA...]`.

With extras only theirs are printed. An image installs these before the project itself, so that a change of
the code does not install them again.
"""

import sys
import tomllib
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """The requirements of a project, or of some of its extras.

    Args:
        pyproject: the file.
        extras: names of extras; the project's own requirements where there are none.

    Raises:
        KeyError: there is no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    if not extras:
        return list(project["dependencies"])
    return [line for extra in extras for line in project["optional-dependencies"][extra]]


def main() -> None:
    """Print them; the file lies beside this one or above."""
    places = (_HERE / "pyproject.toml", _HERE.parent / "pyproject.toml")
    print("\n".join(requirements(next(p for p in places if p.exists()), sys.argv[1:])))


if __name__ == "__main__":
    main()
