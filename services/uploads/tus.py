"""The tus protocol, version 1.0.0: its words, and reading its headers.

Concatenation is left out: a final upload would copy all of its parts once more.
"""

import binascii
import hashlib
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from services.api.problems import ApiError
from services.settings import UploadSettings

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,checksum,expiration,termination"
ALGORITHMS: Final = ("sha1", "sha256", "md5")
PART_TYPE: Final = "application/offset+octet-stream"


@dataclass(frozen=True)
class Checksum:
    """What the bytes of a part must hash to.

    Attributes:
        algorithm: one of ALGORITHMS.
        digest: the raw hash.
    """

    algorithm: str
    digest: bytes


@dataclass(frozen=True)
class Part:
    """What the headers of a PATCH say.

    Attributes:
        offset: of its first byte in the file.
        length: bytes of its body; None where they come without a count.
        checksum: of its body; None where none was sent.
    """

    offset: int
    length: int | None = None
    checksum: Checksum | None = None


def read_checksum(header: str | None) -> Checksum | None:
    """The checksum of an Upload-Checksum header.

    Raises:
        ApiError: 400 where the algorithm is unknown, or the hash is no base64 or too short or long.
    """
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise ApiError(400, "unknown-checksum", f"Upload-Checksum must name one of {known}. Use one of them.")
    try:
        digest = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as e:
        raise _bad_checksum(algorithm) from e
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise _bad_checksum(algorithm)
    return Checksum(algorithm, digest)


def require_part_type(content_type: str | None) -> None:
    """Refuse a body that does not call itself a part.

    Raises:
        ApiError: 415.
    """
    if (content_type or "").partition(";")[0].strip().lower() != PART_TYPE:
        raise ApiError(
            415, "not-a-part", f"The bytes of an upload have the Content-Type {PART_TYPE}. Send it."
        )


def limit_part(length: int | None, cfg: UploadSettings) -> None:
    """Refuse a part that is too large for the proxy in front, which holds a whole request in memory.

    Raises:
        ApiError: 413.
    """
    if length is not None and length > cfg.max_part_bytes:
        raise part_too_large(cfg)


def part_too_large(cfg: UploadSettings) -> ApiError:
    """413 for a part above the limit; the connection ends, so that the rest of it is not read."""
    return ApiError(
        413, "part-too-large",
        f"One PATCH may bring {cfg.max_part_bytes} bytes at most, since a proxy holds it in memory. Send the "
        "file in parts of that size: chunk_size in tuspy, chunkSize in tus-js-client.",
        {"Connection": "close", "Upload-Limit": limits(cfg)},
    )  # fmt: skip


def limits(cfg: UploadSettings) -> str:
    """The Upload-Limit header, as the IETF's draft of resumable uploads names it."""
    return f"max-size={cfg.max_bytes}, max-append-size={cfg.max_part_bytes}"


def http_date(moment: datetime) -> str:
    """A time as HTTP writes it (RFC 9110)."""
    return format_datetime(moment, usegmt=True)


def _bad_checksum(algorithm: str) -> ApiError:
    return ApiError(
        400,
        "bad-checksum",
        f"Upload-Checksum holds no base64 of a {algorithm} hash. Send '{algorithm} BASE64'.",
    )
