"""Sending files: whole, in ranges, or not at all where the client has them; as what they are, and inert."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from services.api.files import gone
from services.api.problems import MEDIA_TYPE, problem, responses

# What a browser may do with it: show or save it, and nothing that runs.
HARMLESS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_MAX_AGE_S: Final = 3600
PRIVATE: Final = f"private, max-age={_MAX_AGE_S}"
UNCHANGING: Final = f"{PRIVATE}, immutable"  # under a name that is made of its content

_RANGES = re.compile(r"bytes=\s*((?:\d{0,18}-\d{0,18}\s*,\s*)*\d{0,18}-\d{0,18})\s*", re.IGNORECASE)
_MOST_RANGES: Final = 16


def file_responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What a route documents that sends a file."""
    binary: dict[str, Any] = {t: {"schema": {"type": "string", "format": "binary"}} for t in media_types}
    partial = {**binary, "multipart/byteranges": {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "The file", "content": binary},
        206: {"description": "The ranges that were asked for", "content": partial},
        304: {"description": "The client has it already"},
        416: {
            "description": "None of the ranges lies in the file",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
        **responses(401, 403, 404, 410, 422),
    }


class SentFile(FileResponse):
    """A file, or the ranges of it that were asked for, in chunks of 1 MiB.

    A Range header that is no valid one is ignored, as RFC 9110 has it.
    """

    chunk_size = 1 << 20

    def __init__(
        self, path: Path, media_type: str, headers: Mapping[str, str], filename: str | None = None,
        *, inline: bool = False,
    ) -> None:  # fmt: skip
        """Take the file; a name makes it one to be saved, unless it is inline.

        Raises:
            ApiError: 410 where it was removed meanwhile.
        """
        try:
            found = path.stat()
        except FileNotFoundError as e:
            raise gone("file") from e
        if not stat.S_ISREG(found.st_mode):
            raise gone("file")
        super().__init__(
            os.fspath(path),
            headers={**HARMLESS, **headers},
            media_type=media_type,
            filename=filename,
            stat_result=found,
            content_disposition_type="inline" if inline else "attachment",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what was asked for."""
        asked = Headers(scope=scope)
        if matches(asked.get("if-none-match"), self.headers["etag"]):
            await _not_modified(self)(scope, receive, send)
            return
        wanted = self._ranges(asked)
        if wanted == []:
            size = self.headers["content-length"]
            answer = problem(
                Request(scope), 416, "range-not-satisfiable",
                f"No range that was asked for lies in the file, which has {size} bytes.",
                {"Content-Range": f"bytes */{size}"},
            )  # fmt: skip
            await answer(scope, receive, send)
            return
        await super().__call__(_with_range(scope, wanted), receive, send)

    def _ranges(self, asked: Headers) -> list[tuple[int, int]] | None:
        """First and last byte of what lies in the file; None where all of it is to be sent."""
        condition = asked.get("if-range")
        if condition is not None and condition not in (self.headers["etag"], self.headers["last-modified"]):
            return None
        match = _RANGES.fullmatch(asked.get("range", "").strip())
        if match is None:
            return None
        size = int(self.headers["content-length"])
        parts = [part.strip().split("-") for part in match[1].split(",")]
        if len(parts) > _MOST_RANGES or any(not (a or b) or (a and b and int(a) > int(b)) for a, b in parts):
            return None
        spans = [_span(a, b, size) for a, b in parts]
        return [(a, b) for a, b in spans if a <= b and a < size]


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _with_range(scope: Scope, wanted: list[tuple[int, int]] | None) -> Scope:
    """The request with the ranges as they were understood, or with none."""
    headers = MutableHeaders(raw=[(k, v) for k, v in scope["headers"] if k not in {b"range", b"if-range"}])
    if wanted:
        headers["range"] = "bytes=" + ",".join(f"{a}-{b}" for a, b in wanted)
    return {**scope, "headers": headers.raw}


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names an ETag."""
    tags = {t.strip().removeprefix("W/") for t in (header or "").split(",")}
    return bool(header) and ("*" in tags or etag in tags)


def _not_modified(file: SentFile) -> Response:
    kept = ("etag", "last-modified", "cache-control", *(k.lower() for k in HARMLESS))
    return Response(status_code=304, headers={k: file.headers[k] for k in kept if k in file.headers})
