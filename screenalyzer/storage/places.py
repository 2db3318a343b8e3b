"""Where a data root lies: a folder, or an object store with a working folder that mirrors it.

The working folder bears the store's address in its name. So every process that is given a path below it knows
the store, on any node, and nothing else has to travel along.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from screenalyzer.errors import SettingsError
from screenalyzer.settings import WorkSettings
from screenalyzer.storage.mirror import Mirror
from screenalyzer.storage.store import SCHEMES, Store

_SEPARATOR: Final = quote("://", safe="")
_HEADS: Final = tuple(f"{scheme}{_SEPARATOR}" for scheme in SCHEMES)
_LONGEST: Final = 255  # bytes that file systems take for a name


def working_folder(root: str | Path) -> Path:
    """The folder that all code works on: an absolute path, also of a root that lies in an object store.

    Args:
        root: a folder, `file://` with a folder, or `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        SettingsError: an address that cannot be used.
    """
    text = str(root)
    parts = urlsplit(text)
    if "://" not in text:
        return Path(text).absolute()
    if parts.scheme == "file":
        return Path(unquote(parts.path)).absolute()
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise SettingsError(
            f"a data root is a folder, or s3://bucket/prefix, or gs://bucket/prefix; not {text}."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            "the address of a data root holds a bucket and a prefix alone. Give credentials and the endpoint "
            "in the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL."
        )
    name = quote(text.rstrip("/"), safe="")
    if len(name) > _LONGEST:
        raise SettingsError(f"the address of the data root is too long: {text}. Use a shorter prefix.")
    return WorkSettings().work_dir.absolute() / name


def mirror_of(path: Path) -> Mirror | None:
    """The mirror that a path lies in; None for a plain folder, which costs one look at the text."""
    return _mirror(_folder_of(path)) if _SEPARATOR in str(path) else None


def _folder_of(path: Path) -> Path:
    for folder in (path, *path.parents):
        if folder.name.startswith(_HEADS):
            return folder
    return Path()


@lru_cache(maxsize=16)
def _mirror(folder: Path) -> Mirror | None:
    return Mirror(folder, Store(unquote(folder.name))) if folder.name else None
