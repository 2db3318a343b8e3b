"""The files of uploads once their bytes are there: taken in as videos, discarded, or expired."""

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from screenalyzer import storage
from screenalyzer.errors import InputError
from screenalyzer.storage import fsync_folder
from services.context import Services
from services.db.models import Upload, Video, now
from services.uploads import parts
from services.uploads.metadata import stored_name
from services.uploads.parts import UploadHeldError
from services.uploads.rows import is_whole
from services.work.control import Stopped

_BLOCK: Final = 1 << 20
_STRAY_S: Final = 3600.0  # a file without a row may be one that is just being made


@dataclass(frozen=True)
class _Place:
    """Where an upload lies and is to lie."""

    upload: Upload
    part: Path
    root: Path

    def target(self, sha256: str) -> Path:
        return self.root / "videos" / sha256 / stored_name(self.upload.file_name)

    def is_all_at(self, path: Path) -> bool:
        entry = storage.look(path)
        return entry is not None and entry.size == self.upload.length


def claim(
    services: Services, upload_id: str, progress: Callable[[int, int], None], stop: Callable[[], bool]
) -> tuple[str, Path]:
    """Make a video of a received upload; one that is there with the same content is used instead.

    May be called again, also after it was killed anywhere in between: it goes on where it was.

    Args:
        services: of the process.
        upload_id: of an upload that is received.
        progress: told how many bytes of how many are hashed.
        stop: asked often whether to stop.

    Returns:
        The content's digest, and the video's file.

    Raises:
        Stopped: `stop` said so.
        InputError: there is no such upload, or its bytes are gone.
    """
    with services.database.read() as session:
        upload = session.get(Upload, upload_id)
    if upload is None:
        raise InputError(f"there is no upload {upload_id}. Upload the video again.")
    root = services.settings.root
    place = _Place(upload, parts.part_path(root, upload_id), root)
    if storage.is_mirrored(place.part) and not place.part.is_file():
        storage.need(place.part)  # it came to another node
    sha256 = upload.sha256 or _identify(services, place, progress, stop)
    path = _put(services, place, sha256)
    parts.remove(root, upload_id)
    return sha256, path


def discard(services: Services, upload_id: str) -> None:
    """Remove the file of an upload that will not become a video, wherever it is on its way."""
    root = services.settings.root
    with services.database.read() as session:
        upload = session.get(Upload, upload_id)
        video = session.get(Video, upload.sha256) if upload and upload.sha256 else None
    if upload and upload.sha256:
        stray = _Place(upload, parts.part_path(root, upload_id), root).target(upload.sha256)
        if video is None or root / video.path != stray:
            _drop(stray)
    parts.remove(root, upload_id)


def expire(services: Services) -> int:
    """Remove unfinished uploads that were left alone for too long, old refusals, and files of no upload.

    Returns:
        How many uploads went.
    """
    with services.database.read() as session:
        old = session.scalars(
            select(Upload).where(Upload.state.in_(("receiving", "refused")), Upload.expires_at <= now())
        ).all()
    gone = sum(_expire(services, u.id) for u in old if not is_whole(u))
    _sweep_strays(services)
    return gone


def _identify(
    services: Services, place: _Place, progress: Callable[[int, int], None], stop: Callable[[], bool]
) -> str:
    """Digest of the bytes that came, noted before they are moved, so that it is known where they went."""
    try:
        sha256 = _hash(place, progress, stop)
    except FileNotFoundError as e:
        return _noted_by_another(services, place, e)
    with services.database.write() as session:
        upload = session.get(Upload, place.upload.id, with_for_update=True)
        if upload is None:
            raise InputError(f"upload {place.upload.id} was ended. Upload the video again.")
        upload.sha256 = sha256
    return sha256


def _hash(place: _Place, progress: Callable[[int, int], None], stop: Callable[[], bool]) -> str:
    digest, done, total = hashlib.sha256(), 0, place.upload.length
    with place.part.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            if stop():
                raise Stopped
            digest.update(block)
            done += len(block)
            progress(done, total)
    if done != total:
        raise _lost(place)
    return digest.hexdigest()


def _noted_by_another(services: Services, place: _Place, e: FileNotFoundError) -> str:
    """The digest where another attempt has noted it and moved the file, since this one looked."""
    with services.database.read() as session:
        upload = session.get(Upload, place.upload.id)
    if upload is None or upload.sha256 is None:
        raise _lost(place) from e
    return upload.sha256


def _put(services: Services, place: _Place, sha256: str) -> Path:
    """Bring the bytes to their place among the videos, and make the row."""
    target = place.target(sha256)
    known = _known(services, place, sha256)
    if known is None:
        _move(place, target)
        known = _record(services, place, sha256, target)
    if known != target:
        _drop(target)  # somebody brought the same content at the same moment, under another name
    return known


def _known(services: Services, place: _Place, sha256: str) -> Path | None:
    """The video of this content, if it is there in full."""
    with services.database.read() as session:
        video = session.get(Video, sha256)
    path = place.root / video.path if video else None
    return path if path and place.is_all_at(path) else None


def _move(place: _Place, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage.publish(place.part, target)
    except FileNotFoundError as e:
        if not place.is_all_at(target):
            raise _lost(place) from e
    for folder in (target.parent, target.parent.parent, place.part.parent):
        fsync_folder(folder)


def _record(services: Services, place: _Place, sha256: str, target: Path) -> Path:
    """Make the row of the video, or find that somebody else has; returns the file that it names."""
    path, size = target.relative_to(place.root).as_posix(), place.upload.length
    try:
        with services.database.write() as session:
            video = session.get(Video, sha256, with_for_update=True)
            if video is None:
                session.add(Video(sha256=sha256, path=path, size_bytes=size))
            elif not place.is_all_at(place.root / video.path):
                video.path, video.created_at = path, now()  # its file was kept no longer
            else:
                return place.root / video.path
    except IntegrityError:
        with services.database.read() as session:
            return place.root / session.get_one(Video, sha256).path
    return target


def _drop(path: Path) -> None:
    storage.remove(path)
    with suppress(OSError):  # the folder holds the other one, or was never made
        path.parent.rmdir()


def _expire(services: Services, upload_id: str) -> bool:
    root = services.settings.root
    old = (Upload.id == upload_id, Upload.expires_at <= now(), Upload.state.in_(("receiving", "refused")))
    try:
        with parts.held(root, upload_id):
            with services.database.write() as session:
                gone = session.scalar(delete(Upload).where(*old).returning(Upload.id))
            if gone:
                parts.remove(root, upload_id)
    except UploadHeldError:
        return False  # bytes come just now
    return gone is not None


def _sweep_strays(services: Services) -> None:
    """Remove files that no unfinished upload needs: what a kill left between a row and its file."""
    found = parts.files_by_upload(services.settings.root)
    with services.database.read() as session:
        needed = set(session.scalars(select(Upload.id).where(Upload.state.in_(("receiving", "received")))))
    for upload_id in found.keys() - needed:
        _remove_old(found[upload_id])
    if storage.is_mirrored(services.settings.root):  # of nodes that are gone
        for entry in storage.files_below(services.settings.root / "uploads"):
            if entry.path.stem not in needed and time.time() - entry.modified > _STRAY_S:
                storage.remove(entry.path)


def _remove_old(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STRAY_S:
                path.unlink()


def _lost(place: _Place) -> InputError:
    return InputError(f"the bytes of {place.upload.file_name} are no longer on the disk. Upload it again.")
