"""Pictures that are made when they are asked for: thumbs from memory, frames and plots a few at a time.

What is remembered is served only while its file lies there unchanged, so a picture that was purged is gone at
once. Where an episode lies is remembered for some seconds.
"""

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread
from PIL import Image
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from pipelines.episode import load_source
from screenalyzer import storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import FileMissingError, SlowVideoError, VideoError
from screenalyzer.plot import Contents, Ending, Theme, draw_timeline
from screenalyzer.video.still import stills
from services.api import files, newest
from services.api.known import known_face
from services.api.lookup import find_episode, paths_of
from services.api.problems import ApiError
from services.api.stepping import frames_on_the_way
from services.context import Services
from services.review.people import of_show

_PLACES_S: Final = 3.0
_THUMB_BYTES: Final = 48 << 20  # about 20,000 of them
_FRAME_BYTES: Final = 48 << 20
_PLOT_BYTES: Final = 16 << 20
_KNOWN_BYTES: Final = 8 << 20
_FRAMES_AT_ONCE: Final = 2  # decoding takes a whole core
_FRAME_QUALITY: Final = 85

Mark = Hashable


class Pictures:
    """What a process remembers of pictures."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing yet; the clock counts seconds."""
        self._services, self._clock = services, clock
        self._places: dict[str, tuple[float, EpisodePaths]] = {}
        self._thumbs, self._frames = Kept(_THUMB_BYTES), Kept(_FRAME_BYTES)
        self._plots, self._known = Kept(_PLOT_BYTES), Kept(_KNOWN_BYTES)
        self._decoders: CapacityLimiter | None = None
        self._painters: CapacityLimiter | None = None

    async def place(self, session: Session, episode_id: str) -> EpisodePaths:
        """Where an episode lies.

        Raises:
            ApiError: 404.
        """
        at = self._clock()
        since, paths = self._places.get(episode_id, (0.0, None))
        if paths is None or at - since > _PLACES_S:
            paths = await run_in_threadpool(self._find, session, episode_id)
            self._places = {k: v for k, v in self._places.items() if at - v[0] <= _PLACES_S}
            self._places[episode_id] = (at, paths)
        return paths

    def _find(self, session: Session, episode_id: str) -> EpisodePaths:
        paths = paths_of(self._services, find_episode(session, episode_id))
        session.close()  # gives its connection back: the next step may have to wait for a thread
        return paths

    async def thumb(self, paths: EpisodePaths, det_id: str) -> bytes:
        """A WebP of the picture of a detection.

        Raises:
            ApiError: as `files.crop_file` and `files.thumb`.
        """
        path = paths.crops / f"{det_id}.jpg"
        if storage.is_mirrored(path):  # it may have been purged by another node
            await run_in_threadpool(storage.need, path)
        mark = mark_of(path)
        found = self._thumbs.get(str(path), mark)
        if found is None:
            found = await run_in_threadpool(lambda: files.thumb(files.crop_file(paths, det_id)))
            self._thumbs.put(str(path), mark, found)
        return found

    async def known(self, session: Session, paths: EpisodePaths, episode_id: str, person_id: str) -> bytes:
        """A WebP of how the show knows somebody.

        Raises:
            ApiError: as `known_face`.
        """
        mark, name = mark_of(paths.facebank / "embeddings.parquet"), f"{episode_id} {person_id}"
        found = self._known.get(name, mark)
        if found is None:
            found = await run_in_threadpool(self._know, session, paths, episode_id, person_id)
            self._known.put(name, mark, found)
        return found

    def _know(self, session: Session, paths: EpisodePaths, episode_id: str, person_id: str) -> bytes:
        people = of_show(session, find_episode(session, episode_id).show_id)
        session.close()
        return known_face(paths, people, person_id)

    async def frame(self, paths: EpisodePaths, video: Path, sha256: str, ts_ms: int, height: int) -> bytes:
        """A JPEG of the frame on screen at a moment.

        Args:
            paths: of the episode.
            video: the file.
            sha256: of the file.
            ts_ms: milliseconds on the source's clock.
            height: pixels at most.

        Raises:
            ApiError: 409 where it cannot be decoded, or not soon enough, or the video is not probed yet; 410
                where the file was removed.
        """
        if self._decoders is None:
            self._decoders = CapacityLimiter(_FRAMES_AT_ONCE)
        mark = mark_of(video)
        found = self._frames.get(_name(sha256, ts_ms, height), mark)
        if found is None:
            kept = lambda ts: self._frames.get(_name(sha256, ts, height), mark) is not None  # noqa: E731
            work = lambda: _frames(paths, video, sha256, ts_ms, height, kept)  # noqa: E731 - no thread is held by who waits
            several = await to_thread.run_sync(work, limiter=self._decoders)
            for ts, data in several.items():
                self._frames.put(_name(sha256, ts, height), mark, data)
            found = several[ts_ms]
        return found

    async def plot(self, session: Session, episode_id: str, ending: Ending, theme: Theme) -> bytes:
        """An episode's timeline as a picture, after the newest edit.

        Raises:
            ApiError: 404 where there is no such episode, 409 where it has no results.
            ArtifactError: a file is damaged.
        """
        if self._painters is None:
            self._painters = CapacityLimiter(1)  # matplotlib is not for several threads
        work = lambda: self._paint(session, episode_id, ending, theme)  # noqa: E731 - as above
        return await to_thread.run_sync(work, limiter=self._painters)

    def _paint(self, session: Session, episode_id: str, ending: Ending, theme: Theme) -> bytes:
        episode = find_episode(session, episode_id)
        glance = self._services.desks.glance(session, episode_id)
        paths, name = glance.paths, f"{episode_id} {ending} {theme}"
        written = newest.require_newest(self._services, session, episode)
        mark = (glance.revision, glance.people_revision, written, *map(mark_of, _shown_in(paths)))
        found = self._plots.get(name, mark)
        if found is None:
            contents = Contents.load(paths) if written else self._desk_contents(session, episode_id)
            found = draw_timeline(contents, ending, theme)
            self._plots.put(name, mark, found)
        return found

    def _desk_contents(self, session: Session, episode_id: str) -> Contents:
        session.close()  # who waits for a desk holds no connection
        with self._services.desks.open(session, episode_id) as held:
            crops, desk = held.glance.paths.crops, held.desk
            faces = {e.name: crops / f"{e.rep_det_id}.jpg" for e in held.entities.values() if e.rep_det_id}
            return Contents(held.facts, desk.totals(), desk.timeline(), desk.base.rules, faces)


class Kept:
    """Bytes by name, the least recently used forgotten first."""

    def __init__(self, most_bytes: int) -> None:
        """Keep so many bytes at most."""
        self._most, self._size = most_bytes, 0
        self._rows: OrderedDict[str, tuple[Mark, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, mark: Mark | None) -> bytes | None:
        """What was made of a file as it is now; forgotten where the file is another, or none."""
        with self._lock:
            found = self._rows.get(name)
            if found is None:
                return None
            if found[0] != mark:
                self._drop(name)
                return None
            self._rows.move_to_end(name)
            return found[1]

    def put(self, name: str, mark: Mark | None, data: bytes) -> None:
        """Remember what was made of a file; nothing where there was none."""
        if mark is None or len(data) > self._most:
            return
        with self._lock:
            if name in self._rows:
                self._drop(name)
            self._rows[name] = (mark, data)
            self._size += len(data)
            while self._size > self._most:
                self._drop(next(iter(self._rows)))

    def _drop(self, name: str) -> None:
        self._size -= len(self._rows.pop(name)[1])


def _shown_in(paths: EpisodePaths) -> tuple[Path, ...]:
    """Files that a plot is made from."""
    return paths.timeline, paths.totals_parquet, paths.reviewed_clusters, paths.manifest_json, paths.crops


def mark_of(path: Path) -> Mark | None:
    """Changes with each replacement of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _name(sha256: str, ts_ms: int, height: int) -> str:
    return f"{sha256} {ts_ms} {height}"


def _frames(
    paths: EpisodePaths, video: Path, sha256: str, ts_ms: int, height: int, is_kept: Callable[[int], bool]
) -> dict[int, bytes]:
    """The frame of a moment, and those that are likely to be asked for next, as JPEG."""
    info = load_source(paths)
    if info.sha256 != sha256:
        raise ApiError(409, "not-ready", "Another video takes the place of this one. Try again in a minute.")
    found: dict[int, bytes] = {}
    try:
        for ts, rgb in stills(video, info, frames_on_the_way(paths, ts_ms, is_kept), height):
            out = io.BytesIO()
            Image.fromarray(rgb).save(out, "JPEG", quality=_FRAME_QUALITY)
            found[ts] = out.getvalue()
    except FileMissingError as e:
        raise files.gone("video") from e
    except SlowVideoError as e:
        if ts_ms not in found:
            raise ApiError(
                409,
                "too-slow",
                "This frame takes too long to read. Try again later, or look at another moment.",
            ) from e
    except VideoError as e:
        raise _damaged() from e
    if ts_ms not in found:
        raise _damaged()
    return found


def _damaged() -> ApiError:
    return ApiError(409, "damaged", "This frame cannot be decoded. Look at another moment.")
