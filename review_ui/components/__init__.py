"""Components that run in the browser: their JavaScript and CSS lie beside this file as files of their own."""

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def source(name: str) -> str:
    """The text of a file of this folder, such as `uploader.js`."""
    return (_HERE / name).read_text("utf-8")
