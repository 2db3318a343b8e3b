"""The review desk on a page of its own, without Streamlit: deliveries are given, what it tells is read."""

import io
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page
from support.http_server import serving

from review_ui.components.modules import joined

COMPONENTS: Final = Path(__file__).parents[2] / "review_ui" / "components"

Json = dict[str, Any]

_LIGHT: Final = {
    "primary-color": "#3b5bdb", "background-color": "#ffffff", "secondary-background-color": "#f3f4f6",
    "text-color": "#1c2024", "border-color": "#d9dce1",
}  # fmt: skip
_DARK: Final = {
    "primary-color": "#8ea6ff", "background-color": "#14171c", "secondary-background-color": "#1f242b",
    "text-color": "#e8eaed", "border-color": "#373d47",
}  # fmt: skip
_COLOURS: Final = {"green": "#2f9e44", "blue": "#3b82c4", "orange": "#d9730d"}


def themed(*, dark: bool) -> str:
    """The variables that Streamlit gives to a component, as CSS declarations."""
    base = _DARK if dark else _LIGHT
    named = {f"{name}-color": c for name, c in _COLOURS.items()}
    tints = {
        f"{name}-background-color": f"color-mix(in srgb, {c} 15%, transparent)"
        for name, c in _COLOURS.items()
    }
    rest = {"font": "system-ui, sans-serif", "code-font": "ui-monospace, monospace", "base-radius": "6px"}
    return "; ".join(f"--st-{k}: {v}" for k, v in {**base, **named, **tints, **rest}.items())


def _page(component: str, *, dark: bool) -> str:
    css = (COMPONENTS / component / f"{component}.css").read_text("utf-8")
    ground = "#14171c" if dark else "#fff"
    return f"""<!doctype html><meta charset="utf-8"><title>{component}</title>
<style>body {{ margin: 0; padding: 16px; background: {ground}; {themed(dark=dark)} }}</style>
<label>Elsewhere <input id="elsewhere"></label><div id="host"></div>
<script type="module">
import render from "/component.js";
const root = document.getElementById("host").attachShadow({{mode: "open"}});
root.append(Object.assign(document.createElement("style"), {{textContent: {json.dumps(css)}}}));
window.told = [];
const setStateValue = (name, value) => window.told.push(structuredClone(value));
window.deliver = (data) => {{ window.away = render({{data, parentElement: root, setStateValue}}); }};
window.ready = true;
</script>"""


def _picture(seed: int, size: int, kind: str) -> bytes:
    """Something with a face's colours, different for each seed."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(40, 215, (3, 3, 3)).astype(np.uint8)
    image = Image.fromarray(low).resize(
        (size * 16 // 9 if kind == "jpeg" else size, size), Image.Resampling.BICUBIC
    )
    out = io.BytesIO()
    image.save(out, kind, quality=70)
    return out.getvalue()


class _Site:
    """The page, the component and the pictures, as an ASGI application."""

    def __init__(self, component: str) -> None:
        self.component = component
        self._thumbs = [_picture(i, 96, "webp") for i in range(64)]
        self._frames = [_picture(i, 360, "jpeg") for i in range(4)]

    async def __call__(self, scope: Json, _receive: Any, send: Any) -> None:
        kind, body = self._answer(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"cache-control", b"max-age=600")]
        await send({"type": "http.response.start", "status": 200 if body else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[str, bytes]:
        if path in {"/light", "/dark"}:
            return "text/html", _page(self.component, dark=path == "/dark").encode()
        if path == "/component.js":
            folder = COMPONENTS / self.component / "js"
            return "text/javascript", joined(folder, "main.js").encode()
        if path.startswith("/known/"):
            return "image/webp", self._thumbs[sum(path.encode()) % 64]
        if path.startswith("/thumb/"):
            return "image/webp", self._thumbs[int(path[7:], 16) % 64]
        if path.startswith("/frame/"):
            return "image/jpeg", self._frames[int(path[7:]) // 1000 % 4]
        return "text/plain", b""


class ComponentPage:
    """A component on its page."""

    def __init__(self, page: Page, site: _Site, url: str, first: Json) -> None:
        self.page, self.site, self.url, self.first = page, site, url, first
        self.errors: list[str] = []
        self._n = 0
        page.on("pageerror", lambda e: self.errors.append(str(e)))

    def open(self, *, dark: bool = False) -> None:
        """Load the page anew; nothing is delivered yet but the first data, without messages."""
        self._n = 0
        self.page.goto(f"{self.url}/{'dark' if dark else 'light'}")
        self.page.wait_for_function("window.ready")
        self.deliver()

    def deliver(self, *messages: tuple[str, Json], api: Json | None = None) -> None:
        """Give it messages (kind, body), as a run of the pages' script does."""
        numbered = []
        for kind, body in messages:
            self._n += 1
            numbered.append({"n": self._n, "kind": kind, "body": body})
        state = {
            "instance": None,
            "box": "a",
            "api": api or {"ok": True, "message": ""},
            "messages": numbered,
        }
        self.page.evaluate("data => window.deliver(data)", {**self.first, **state})

    def told(self) -> list[Json]:
        """All that it has told since it was asked last."""
        found: list[Json] = self.page.evaluate("window.told.splice(0)")
        return found

    def waiting(self) -> list[Json]:
        """The queue that it told last."""
        told = self.told()
        return list(told[-1]["queue"]) if told else []

    def keys(self, *pressed: str) -> None:
        """Press one key after another."""
        for key in pressed:
            self.page.keyboard.press(key)


@contextmanager
def component_page(browser: Browser, component: str, first: Json) -> Iterator[ComponentPage]:
    """The page of a component; JavaScript errors fail the block."""
    site = _Site(component)
    with serving(site) as client:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        made = ComponentPage(page, site, str(client.base_url).rstrip("/"), first)
        made.open()
        yield made
        assert not made.errors, made.errors
        page.close()


# A review that was never found in a video.

NAMES: Final = (
    "Ada Park",
    "Ben Osei",
    "Chiara Rossi",
    "Dimitri Volkov",
    "Esi Mensah",
    "Finn Larsen",
    "Gita Rao",
)
DURATION_MS: Final = 1_800_000


def entity(number: int, faces: int = 40, **changed: Any) -> Json:
    """A group without a name, or with what is changed."""
    group = f"g{number:04d}"
    made: Json = {
        "entity_id": group, "kind": "group", "name": f"Person {number:02d}", "person_id": None,
        "group_ids": [group],
        "piece_count": max(1, faces // 5), "face_count": faces, "screen_ms": 0,
        "seen_ms": 200_000 - 300 * number, "rep_det_id": f"{number * 7919:032x}", "auto": False,
        "confidence": 0.8, "known_from": 0, "looks": 0, "reviewed": 0.0, "low_conf": number % 5 == 0,
        "reason": "", "mark": None, "locked": False, "variance": 0.1,
        "candidates": [
            {"person_id": f"p{i}", "name": name, "probability": round(0.9 / (i + 1), 2)}
            for i, name in enumerate(NAMES[:4])
        ],
    }  # fmt: skip
    return {**made, **changed}


def person(number: int, **changed: Any) -> Json:
    """A person of the show who was found."""
    return entity(900 + number, **{
        "entity_id": f"p{number}", "kind": "person", "name": NAMES[number], "person_id": f"p{number}",
        "auto": True,
        "seen_ms": 300_000 - number, "screen_ms": 290_000, "candidates": [], **changed,
    })  # fmt: skip


def review(groups: int = 500, people: int = 5, **changed: Any) -> Json:
    """A review's state."""
    entities = [entity(i) for i in range(1, groups + 1)] + [person(i) for i in range(people)]
    made: Json = {
        "episode_id": "e1", "revision": 3, "title": "s01e01", "show": "The-Long-Table", "show_id": "s1",
        "duration_ms": DURATION_MS, "start_ms": 0, "width": 1920, "height": 1080, "fps": 25.0,
        "locked": False,
        "undo": None, "redo": None, "entities": entities, "unresolved_ms": 1_500_000, "published_revision": 0,
        "people": [{"person_id": f"p{i}", "name": n} for i, n in enumerate(NAMES)],
        "counts": {
            "people": people, "groups_unnamed": groups, "faces": 20_000, "pieces": 4000, "doubts": 3,
            "suggestions": 3,
        },
        "carried": {"carried": {}, "lost": []},
        "media": {"thumb": "/thumb/{det}", "crop": "/thumb/{det}", "frame": "/frame/{ts}", "video": "/video",
                  "known": "/known/{person}"},
    }  # fmt: skip
    return {**made, **changed}


def faces(entity_id: str, count: int, seed: int = 0) -> Json:
    """Faces of an entity as they are delivered, five to a track."""
    rng = random.Random(f"{entity_id} {seed}")
    tracks = [f"{entity_id}-t{i}" for i in range((count + 4) // 5)]
    ts = [rng.randrange(DURATION_MS) for _ in range(count)]
    columns = {
        "det_id": [f"{rng.getrandbits(128):032x}" for _ in range(count)],
        "pieces": tracks, "piece": [i // 5 for i in range(count)], "ts_ms": ts,
        "box": [v for _ in range(count) for v in (600, 200, 900, 560)],
        "distance": [round(0.9 * (1 - i / count), 3) for i in range(count)],
        "score": [round(i / count, 3) for i in range(count)],
        "pinned": [int(i % 7 == 3) for i in range(count)],
    }  # fmt: skip
    return {"entity_id": entity_id, "total": count, "columns": columns}


def result(key: str, revision: int, entities: list[Json], removed: list[str], **changed: Any) -> Json:
    """What is delivered once an action has been applied."""
    edit = {
        "number": revision,
        "kind": "edit",
        "of": None,
        "label": "Assign",
        "actor": "ana",
        "at": "2026-05-04T10:00:00Z",
    }
    made: Json = {
        "revision": revision, "edit": edit, "others": [], "complete": False,
        "people": [{"person_id": f"p{i}", "name": n} for i, n in enumerate(NAMES)],
        "entities": entities, "removed": removed, "totals": [],
        "counts": {}, "undo": {"number": revision, "label": "Assign"}, "redo": None,
        "unresolved_ms": 1_000_000,
    }  # fmt: skip
    return {"key": key, "result": {**made, **changed}}
