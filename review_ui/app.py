"""The review interface as an ASGI application: `streamlit run review_ui/app.py`.

SCREENALYZER_URL is the service's address for this process, SCREENALYZER_PUBLIC_URL for browsers.
"""

from importlib import import_module
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from review_ui.web import ROUTES, SecurityHeaders, on_script_error
from review_ui.wire import address

# Streamlit loads them for the first component with data, which takes half a second: not while somebody waits.
for library in ("pandas", "pyarrow"):
    import_module(library)

app = App(
    Path(__file__).with_name("main.py"),
    routes=ROUTES,
    middleware=[Middleware(SecurityHeaders, api_url=address().public_url)],
    on_script_error=on_script_error,
)
