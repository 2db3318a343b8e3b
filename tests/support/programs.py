"""Programs of the system that some tests drive; `tools/programs.sh` installs them."""

import os
import shutil
from typing import NoReturn

import pytest

_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))


def program(name: str, package: str | None = None) -> str:
    """Path of a program; the test is skipped without it, or fails where SCREENALYZER_NEED_PROGRAMS says so.

    Args:
        name: of the file.
        package: Debian's, where it has another name.
    """
    found = shutil.which(name, path=_PLACES)
    return found if found is not None else do_without(package or name)


def do_without(package: str) -> NoReturn:
    """Skip the test for want of Debian's package; fail it where SCREENALYZER_NEED_PROGRAMS says so."""
    cannot_run(f"{package} is not on this machine; as root: tools/programs.sh")


def cannot_run(reason: str) -> NoReturn:
    """Skip the test, with the reason; fail it where SCREENALYZER_NEED_PROGRAMS says so."""
    if os.environ.get("SCREENALYZER_NEED_PROGRAMS"):
        pytest.fail(reason)
    pytest.skip(reason)
