"""JavaScript that browsers fetch once and keep, in place of text that travels with every run of a page."""

from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PATH: Final = "/components/{name}"
_FOR_GOOD: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_TEXTS: dict[str, str] = {}


def fetched(name: str, text: str) -> str:
    """A component's JavaScript as a line that fetches it from an address of its own.

    Streamlit sends a component's JavaScript with each run of the page, and gives addresses only to what an
    installed distribution declares in a pyproject.toml that it carries. The address names the content, so a
    browser need never ask again; and modules are evaluated once for each address.

    Args:
        name: of the component, for the address.
        text: a module with a default export.
    """
    file = f"{name}-{sha256(text.encode()).hexdigest()[:20]}.js"
    _TEXTS[file] = text
    address = _PATH.format(name=file)
    return (
        f'const module = await import(new URL("{address}", window.location.origin).href);\n'
        "export default module.default;\n"
    )


async def _give(request: Request) -> Response:
    text = _TEXTS.get(request.path_params["name"])
    if text is None:
        return Response(status_code=404)
    return Response(text, media_type="text/javascript", headers=_FOR_GOOD)


ROUTE: Final = Route(_PATH, _give)
