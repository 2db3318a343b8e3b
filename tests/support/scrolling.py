"""How a wall of faces scrolls, frame by frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Locator

_STEPS: Final = 240
_SCROLL: Final = """async (wall, [pixels, steps]) => {
  const tasks = [];
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)));
  watch.observe({type: 'longtask'});
  const frames = [];
  let most = 0;
  let last = await new Promise(requestAnimationFrame);
  for (let i = 1; i <= steps; i++) {
    wall.scrollTop = pixels * i;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    most = Math.max(most, wall.querySelectorAll('*').length);
  }
  watch.disconnect();
  frames.sort((a, b) => a - b);
  return {median: frames[steps >> 1], p95: frames[Math.floor(steps * 0.95)], most, tasks};
}"""


@dataclass(frozen=True)
class Scrolled:
    """What was seen; times in milliseconds.

    Attributes:
        median: from one frame to the next.
        p95: likewise, of which one in twenty is longer.
        most: elements in the wall, at any time.
        tasks: of the scripts that held up the page for more than 50.
    """

    median: float
    p95: float
    most: int
    tasks: list[float]

    @property
    def smooth(self) -> bool:
        """Whether it looks so."""
        return self.p95 < 50 and not any(t > 100 for t in self.tasks)


def scroll(wall: "Locator", pixels: int) -> Scrolled:
    """Scroll a wall from its top, so many pixels a frame."""
    return Scrolled(**wall.evaluate(_SCROLL, [pixels, _STEPS]))
