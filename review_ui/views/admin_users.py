"""Users: who may log in, and as what."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from review_ui.answers import User
from review_ui.context import Context
from review_ui.parts import moment, plain
from review_ui.state import section

_ROLES: Final = {"analyst": "Analyst", "admin": "Admin"}


@dataclass
class _Fresh:
    """A one-time secret that was just made; it is shown until it is put away."""

    name: str = ""
    secret: str = ""


def render(ctx: Context) -> None:
    """Show it."""
    fresh = section(_Fresh)
    if fresh.secret:
        _show_secret(fresh)
    for user in ctx.client.users():
        _row(ctx, user)
    _add(ctx)


def _show_secret(fresh: _Fresh) -> None:
    with st.container(border=True, key="fresh-secret"):
        st.markdown(f"**One-time secret of {plain(fresh.name)}**")
        st.code(fresh.secret, language=None)
        st.caption("It logs in once, and is not shown again. Pass it on safely.")
        if st.button("I have passed it on", icon=":material/check:"):
            fresh.name = fresh.secret = ""
            st.rerun()


def _row(ctx: Context, user: User) -> None:
    with st.container(border=True, key=f"user-{user['id']}"):
        left, right = st.columns([3, 3], vertical_alignment="center")
        said = [_ROLES[user["role"]], "may log in" if user["active"] else "**may not log in**"]
        if user["secret_until"]:
            said.append(f"one-time secret until {moment(user['secret_until'])}")
        elif user["must_set_password"]:
            said.append("has not set a password")
        itself = " (you)" if user["id"] == ctx.me["id"] else ""
        left.markdown(f"**{plain(user['name'])}**{itself}  \n{', '.join(said)}")
        with right.container(horizontal=True, horizontal_alignment="right"):
            _actions(ctx, user)


def _actions(ctx: Context, user: User) -> None:
    key = user["id"]
    if user["id"] == ctx.me["id"]:
        st.caption("Your password is changed at your name on the left.")
        return
    other = "admin" if user["role"] == "analyst" else "analyst"
    if st.button(f"Make {_ROLES[other]}", key=f"role-{key}"):
        _change(ctx, user, role=other)
    if st.button("Stop" if user["active"] else "Let in", key=f"active-{key}"):
        _change(ctx, user, active=not user["active"])
    if st.button("New secret", key=f"reset-{key}", help="Takes the place of the password; ends every login."):
        with ctx.guard():
            _keep(ctx.client.reset_user(user))
            st.rerun()
    with st.popover("Remove", key=f"remove-{key}"):
        st.markdown(f"Remove **{plain(user['name'])}**? What they did stays.")
        if st.button("Remove", type="primary", key=f"removed-{key}"):
            with ctx.guard():
                ctx.client.remove_user(user)
                st.rerun()


def _change(ctx: Context, user: User, **changes: object) -> None:
    with ctx.guard():
        ctx.client.change_user(user, **changes)
        st.rerun()


def _add(ctx: Context) -> None:
    st.header("Add a user", anchor=False)
    with st.form("add-user", clear_on_submit=True):
        left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
        name = left.text_input("User name")
        role = middle.selectbox("Role", list(_ROLES), format_func=lambda r: _ROLES[r])
        if right.form_submit_button("Add", type="primary", width="stretch") and name.strip():
            with ctx.guard():
                _keep(ctx.client.add_user(name.strip(), role))
                st.rerun()


def _keep(user: User) -> None:
    fresh = section(_Fresh)
    fresh.name, fresh.secret = user["name"], user.get("secret") or ""
