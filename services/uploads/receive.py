"""Receiving a part: its bytes go to disk, and SQL says how many of them are safe there.

Bytes count once they are synced to disk and committed, every 4 MiB and when the part ends or breaks off;
those of a part with a checksum count together or not at all.
"""

import errno
import hashlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from anyio import CancelScope, fail_after
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from services.api.problems import ApiError, not_found
from services.context import Services
from services.db.models import Upload
from services.uploads import parts, tus
from services.uploads.finish import refuse
from services.uploads.parts import PartFile, UploadHeldError
from services.uploads.rows import Refusal, expiry, require_alive
from services.uploads.tus import Part

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK: Final = 1 << 20  # gathered before a thread writes them
_COMMIT_EVERY: Final = 4 << 20
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Receiver:
    """Takes the bytes of one part, while it holds the upload.

    The methods that touch the disk or SQL run in threads, never two at once. `take` runs in the event loop.
    """

    def __init__(self, services: Services, upload: Upload, part: Part, stack: ExitStack) -> None:
        """Open the file behind what is acknowledged.

        Args:
            services: of the process.
            upload: its row.
            part: what the headers say.
            stack: ends with the receiver.
        """
        self._services, self._id, self._stack = services, upload.id, stack
        self._begin, self._length = upload.offset, upload.length
        self._file = PartFile(parts.part_path(services.settings.root, upload.id), upload.offset)
        stack.callback(self._file.close)
        self._expected = part.checksum
        self._digest: _Hash | None = (
            hashlib.new(part.checksum.algorithm, usedforsecurity=False) if part.checksum else None
        )
        self._buffer = bytearray()
        self._taken = self._written = 0
        self._keeps = True
        self._turn = threading.Lock()
        self.offset = upload.offset
        self.expires_at: datetime = upload.expires_at

    @property
    def whole(self) -> bool:
        """Whether the file's last byte is safe."""
        return self.offset == self._length

    async def pour(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Take all of a body.

        Args:
            chunks: the body as it comes.

        Raises:
            ApiError: 413 where it is too long, 460 where its checksum is another, 503 where the client has
                gone or is silent, 507 where the disk is full, 404 where the upload was ended meanwhile.
        """
        async with aclosing(chunks):
            while (chunk := await self._next(chunks)) is not None:
                self._take(chunk)
                if len(self._buffer) >= _BLOCK:
                    await run_in_threadpool(self._flush)
        await run_in_threadpool(self._end)

    def close(self) -> None:
        """Keep what came, where it may be kept in part, and let the upload go."""
        with self._turn, self._stack:
            if self._keeps and self._digest is None:
                self._write()
                self._commit()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        silence_s = self._services.settings.uploads.silence_s
        try:
            with fail_after(silence_s):
                return await anext(chunks, None)
        except TimeoutError as e:
            raise _broken_off(f"no byte came for {silence_s:g} s") from e
        except ClientDisconnect as e:
            raise _broken_off("the connection was lost") from e

    def _take(self, chunk: bytes) -> None:
        self._taken += len(chunk)
        cfg = self._services.settings.uploads
        if self._taken > cfg.max_part_bytes:
            self._keeps = False
            raise tus.part_too_large(cfg)
        if self._begin + self._taken > self._length:
            self._keeps = False
            raise beyond_length(self._length)
        self._buffer += chunk

    def _flush(self) -> None:
        with self._turn:
            self._write()
            safe = self._begin + self._written
            # The last byte is committed at the end alone: more may follow, and then the part is wrong.
            if self._digest is None and safe - self.offset >= _COMMIT_EVERY and safe < self._length:
                self._commit()

    def _end(self) -> None:
        with self._turn:
            self._write()
            if (
                self._digest
                and self._expected
                and not compare_digest(self._digest.digest(), self._expected.digest)
            ):
                self._file.cut(self.offset)
                raise ApiError(
                    460,
                    "checksum-mismatch",
                    "The bytes that came do not have this Upload-Checksum. Send them again.",
                )
            self._commit()
            self._keeps = False  # nothing is left

    def _write(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        with self._disk():
            self._file.write(data)
        if self._digest:
            self._digest.update(data)
        self._written += len(data)

    def _commit(self) -> None:
        safe = self._begin + self._written
        if safe == self.offset:
            return
        keeps, self._keeps = self._keeps, False  # what cannot be committed now is not tried again
        with self._disk():
            self._file.sync()
        with self._services.database.write() as session:
            upload = session.get(Upload, self._id, with_for_update=True)
            if upload is None:
                parts.remove(self._services.settings.root, self._id)
                raise not_found("upload", self._id, "It was ended while bytes came.")
            if upload.offset != self.offset or upload.state != "receiving":
                raise wrong_offset(upload)
            upload.offset, upload.expires_at = safe, expiry(self._services.settings.uploads)
        self.offset, self.expires_at, self._keeps = safe, upload.expires_at, keeps

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            self._keeps = False
            if e.errno not in _DISK_FULL:
                raise
            raise ApiError(
                507, "disk-full",
                "The disk is full. What is acknowledged stays; ask an operator to free space, then go on.",
            ) from e  # fmt: skip


@asynccontextmanager
async def receiving(services: Services, upload_id: str, part: Part) -> AsyncIterator[Receiver | None]:
    """Hold an upload to take a part of it; None where the file is complete and the part empty.

    Raises:
        ApiError: 404, 409, 410, 413 or 423.
    """
    receiver = await run_in_threadpool(_open, services, upload_id, part)
    try:
        yield receiver
    finally:
        if receiver:
            with CancelScope(shield=True):  # a client that goes away must not keep the upload held
                await run_in_threadpool(receiver.close)


def _open(services: Services, upload_id: str, part: Part) -> Receiver | None:
    with ExitStack() as stack:
        try:
            stack.enter_context(parts.held(services.settings.root, upload_id))
        except UploadHeldError as e:
            raise ApiError(
                423, "held",
                "Another request is writing this upload. Wait for it, then ask with HEAD how far it is.",
                {"Retry-After": "1"},
            ) from e  # fmt: skip
        with services.database.read() as session:
            upload = session.get(Upload, upload_id)
        if upload is None:
            raise not_found("upload", upload_id)
        require_alive(upload)
        if part.offset != upload.offset:
            raise wrong_offset(upload)
        if part.offset + (part.length or 0) > upload.length:
            raise beyond_length(upload.length)
        if upload.state != "receiving":
            return None
        try:
            return Receiver(services, upload, part, stack.pop_all())
        except FileNotFoundError as e:
            lost = Refusal(410, "lost", "The bytes that came are no longer on the disk. Create a new upload.")
            raise refuse(services, upload_id, lost).error() from e


def wrong_offset(upload: Upload) -> ApiError:
    """409 for a part that does not begin where the file ends so far."""
    return ApiError(
        409, "wrong-offset", f"The upload is at byte {upload.offset}. Send the bytes from there on.",
        {"Upload-Offset": str(upload.offset)},
    )  # fmt: skip


def beyond_length(length: int) -> ApiError:
    """413 for bytes after the file's last one."""
    return ApiError(
        413, "beyond-length", f"The upload was created with {length} bytes, and more came. Create one anew.",
        {"Connection": "close"},
    )  # fmt: skip


def _broken_off(why: str) -> ApiError:
    return ApiError(
        503, "broken-off", f"The part broke off: {why}. Ask with HEAD how far the upload is, and go on.",
        {"Retry-After": "1", "Connection": "close"},
    )  # fmt: skip
