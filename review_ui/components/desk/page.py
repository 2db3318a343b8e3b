"""A review page: the desk in a fragment of its own, and a pulse beside it that looks for what others do."""

from dataclasses import dataclass, field
from typing import Any, Final

import streamlit as st

from review_ui.components.desk import Mode, mount, mount_pulse
from review_ui.components.desk.exchange import Exchange
from review_ui.context import Context
from review_ui.parts import title
from review_ui.state import section

PULSE_S: Final = 1.5


@dataclass
class Exchanges:
    """What a tab remembers of its desks.

    Attributes:
        kept: the exchange of the page that is open, by its key.
    """

    kept: dict[str, Exchange] = field(default_factory=dict)

    def find(self, key: str) -> Exchange | None:
        """The exchange of a page, where that is the one that is open."""
        return self.kept.get(key)


def review_page(ctx: Context, mode: Mode, name: str) -> None:
    """Show a desk of the chosen episode under the name of its page."""
    title(name)
    episode = ctx.need_episode()
    key = f"desk-{mode}-{episode['id']}"
    with ctx.guard():
        exchange = section(Exchanges).find(key) or Exchange(episode["id"], mode, ctx.api_url)
        if key not in st.session_state:  # no desk of this page has spoken, or it was left since
            exchange.begin(ctx.client)
        section(Exchanges).kept = {key: exchange}
        _desk(ctx, key, exchange)
        _pulse(ctx, key, exchange)


@st.fragment
def _desk(ctx: Context, key: str, exchange: Exchange) -> None:
    with ctx.guard():
        told: dict[str, Any] = dict(st.session_state.get(key) or {})
        if told.get("up"):
            exchange.hear(ctx.client, told["up"])
        about = {"mode": exchange.mode, "user": ctx.me["id"], "episode": exchange.episode_id}
        mount(key, {**about, **exchange.mail.delivery(exchange.api)})


@st.fragment(run_every=PULSE_S)
def _pulse(ctx: Context, key: str, exchange: Exchange) -> None:
    with ctx.guard():
        mount_pulse(f"{key}-pulse", exchange.look(ctx.client))
