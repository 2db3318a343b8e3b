"""The demo season: three episodes with exact truth, built once and kept."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from screenalyzer.artifacts import fingerprint, is_done, mark_done, write_json
from screenalyzer.demo import cast
from screenalyzer.demo.draw import frames
from screenalyzer.demo.encode import sweep, write_video
from screenalyzer.demo.planes import Frame
from screenalyzer.demo.script import CASTS, FPS, Script, truth, write_script
from screenalyzer.errors import SettingsError

VERSION: Final = 1  # raise it when the pictures or the script change, so that kept episodes are built again
SEED: Final = 7
SHORTEST_S: Final = 8.0
_REPORT_EVERY: Final = FPS

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class DemoEpisode:
    """An episode on disk: the video, and the truth about it as JSON."""

    video: Path
    truth: Path


@dataclass(frozen=True)
class DemoFormat:
    """Size and length of the episodes; the width is a multiple of 4, the height even, at least 160 x 90."""

    width: int = 1280
    height: int = 720
    seconds: float = 96.0

    def __post_init__(self) -> None:
        """Refuse what cannot be coded or holds no story.

        Raises:
            SettingsError: a size that does not fit, or an episode that is too short.
        """
        if self.width % 4 or self.height % 2 or self.width < 160 or self.height < 90:
            raise SettingsError(
                f"A demo of {self.width}x{self.height} cannot be drawn: use 1280x720 or 640x360."
            )
        if self.seconds < SHORTEST_S:
            raise SettingsError(f"A demo episode needs at least {SHORTEST_S:.0f} s, not {self.seconds}.")


def build_season(
    out: Path, progress: Progress | None = None, *, cast_name: str = "season", form: DemoFormat | None = None
) -> list[DemoEpisode]:
    """Build the demo season, or return at once where it is built already.

    An episode counts as built when its marker is there, which is written after the video and the truth.

    Args:
        out: folder that gets `demo-s01e01.mp4`, `demo-s01e01.truth.json` and so on.
        progress: called with an episode's name and the part of it that is done, 0..1, from several threads.
        cast_name: "season"; or "hard" for one episode of three people who look very much alike.
        form: size and length.

    Raises:
        DemoAssetsError: openpeople is not installed.
        SettingsError: there is no such cast.
    """
    if cast_name not in CASTS:
        raise SettingsError(f"There is no demo cast {cast_name!r}; there are {', '.join(CASTS)}.")
    form = form or DemoFormat()
    made_from = fingerprint(
        VERSION, SEED, cast.package_version(), cast_name, form.width, form.height, form.seconds
    )
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    prefix = "demo-s01" if cast_name == "season" else f"demo-{cast_name}"
    names = [f"{prefix}e{number:02d}" for number in range(1, len(CASTS[cast_name]) + 1)]
    missing = [i for i, name in enumerate(names) if not is_done(out / f"{name}.done.json", made_from)]

    def build(index: int) -> None:
        script = write_script(names[index], index + 1, CASTS[cast_name][index], form.seconds, SEED)
        _build(out, script, form, made_from, progress)

    # Drawing and coding run outside the interpreter's lock, so threads share the cut-outs and use the cores.
    with ThreadPoolExecutor(max_workers=max(1, len(missing))) as pool:
        list(pool.map(build, missing))
    return [DemoEpisode(out / f"{name}.mp4", out / f"{name}.truth.json") for name in names]


def _build(out: Path, script: Script, form: DemoFormat, made_from: str, progress: Progress | None) -> None:
    marker, video, answers = (out / f"{script.name}{end}" for end in (".done.json", ".mp4", ".truth.json"))
    marker.unlink(missing_ok=True)
    write_video(video, _reported(script, form, progress), form.width, form.height)
    write_json(answers, truth(script))
    mark_done(marker, made_from, [video, answers])
    if progress:
        progress(script.name, 1.0)


def _reported(script: Script, form: DemoFormat, progress: Progress | None) -> Iterator[Frame]:
    for number, frame in enumerate(frames(script, form.width, form.height)):
        if progress and number % _REPORT_EVERY == 0:
            progress(script.name, number / script.length)
        yield frame
