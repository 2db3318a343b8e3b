"""Upload-Metadata: what a client says of the file that it is about to send.

No name from it is ever used as a path: a show, an episode and a file get names made by `clean_name`.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from pydantic import ValidationError

from screenalyzer.artifacts import clean_name
from screenalyzer.errors import EpisodeNameError
from services.api.problems import ApiError
from services.api.schemas.episodes import NewRun
from services.api.text import LONGEST_TITLE, plain, title

LONGEST_HEADER: Final = 8 << 10
LONGEST_FILE_NAME: Final = 255  # bytes in UTF-8, as file systems take them

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_SWITCH: Final = {"true": True, "false": False, "": False}


@dataclass(frozen=True)
class Wish:
    """What the file is to become.

    Attributes:
        file_name: the user's, without folders; to be shown, not to be opened.
        show: title of the show.
        episode: title of the episode.
        replace: another content may take the episode's place.
        settings: of the run, by group and field; what is left out is as the service's.
    """

    file_name: str
    show: str
    episode: str
    replace: bool = False
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def show_name(self) -> str:
        """As in paths."""
        return clean_name(self.show, "show")

    @property
    def episode_name(self) -> str:
        """As in paths."""
        return clean_name(self.episode)


def read_metadata(header: str | None) -> Wish:
    """The wish in an Upload-Metadata header; keys that are not ours are left alone.

    Raises:
        ApiError: 431 where it is too long, 422 where anything in it is missing or wrong.
    """
    if header is not None and len(header) > LONGEST_HEADER:
        raise ApiError(
            431, "metadata-too-long", f"Upload-Metadata may have {LONGEST_HEADER} bytes. Shorten the names."
        )
    found = _split(header or "")
    file_name = _file_name(_text(found, "filename"))
    stem = PurePosixPath(file_name).stem
    switch = _text(found, "replace", "").lower()
    if switch not in _SWITCH:
        raise _wrong("replace", "it is neither true nor false")
    return Wish(
        file_name,
        _title("show", _text(found, "show")),
        _title("episode", _text(found, "episode", "") or stem),
        _SWITCH[switch],
        _settings(_text(found, "settings", "")),
    )


def stored_name(file_name: str) -> str:
    """The name that a video gets on disk: the user's, made safe, with its suffix if that is a plain one."""
    path = PurePosixPath(file_name)
    suffix = path.suffix if _SUFFIX.fullmatch(path.suffix) else ""
    try:
        return clean_name(path.stem, "file") + suffix
    except EpisodeNameError:
        return f"video{suffix}"


def _split(header: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for pair in filter(None, (p.strip(" ") for p in header.split(","))):
        key, _, encoded = pair.partition(" ")
        if not (key.isascii() and key.isprintable()) or key in found:
            raise ApiError(
                422, "bad-metadata", "Upload-Metadata has a key twice, or one that is no ASCII word."
            )
        found[key] = _decode(key, encoded)
    return found


def _decode(key: str, encoded: str) -> bytes:
    try:
        raw = b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as e:
        raise _wrong(key, "its value is no base64") from e
    if b64encode(raw).decode() != encoded:
        raise _wrong(key, "its value is no base64 in its one normal form")
    return raw


def _text(found: dict[str, bytes], key: str, default: str | None = None) -> str:
    raw = found.get(key)
    if raw is None:
        if default is None:
            raise _wrong(key, "it is missing")
        return default
    try:
        return plain(raw.decode("utf-8"))
    except UnicodeDecodeError as e:
        raise _wrong(key, "it is no UTF-8") from e
    except ValueError as e:
        raise _wrong(key, str(e)) from e


def _file_name(text: str) -> str:
    if "/" in text or "\\" in text or text.strip() in {"", ".", ".."}:
        raise _wrong("filename", "it must be the name of a file, without folders")
    if len(text.encode()) > LONGEST_FILE_NAME:
        raise _wrong("filename", f"it is longer than {LONGEST_FILE_NAME} bytes")
    return text


def _title(key: str, text: str) -> str:
    if len(text) > LONGEST_TITLE:
        raise _wrong(key, f"it is longer than {LONGEST_TITLE} characters")
    if any(part.strip() in {".", ".."} for part in re.split(r"[/\\]", text)):
        raise _wrong(key, "it is a path, not a title")
    try:
        return title(text)
    except ValueError as e:
        raise _wrong(key, str(e)) from e


def _settings(text: str) -> dict[str, dict[str, Any]]:
    if not text:
        return {}
    if not text.isascii() or "\\" in text:  # names and numbers need neither, and an echo stays harmless
        raise _wrong("settings", "it is JSON of plain ASCII, without escapes")
    try:
        return NewRun.model_validate({"settings": json.loads(text)}).changed()
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise _wrong("settings", f"{where}: {first['msg']}") from e
    except (ValueError, RecursionError) as e:
        raise _wrong("settings", "it is no JSON") from e


def _wrong(key: str, what: str) -> ApiError:
    shown = key if len(key) <= 40 else f"{key[:40]}…"
    return ApiError(
        422, "bad-metadata", f"Upload-Metadata, {shown}: {what}. Correct it and create the upload anew."
    )
