"""Log in, and set the first password."""

import streamlit as st

from review_ui.client import Client
from review_ui.logins import Login, log_in
from review_ui.parts import problem
from review_ui.state import state
from review_ui.wire import ServiceError


def render() -> None:
    """Ask for name and password."""
    with _card("login"):
        st.markdown("## :material/movie: Screenalyzer")
        st.caption("Who is on screen, and for how long.")
        if state().notice:
            st.info(state().notice, icon=":material/info:")
        with st.form("login", border=False):
            user = st.text_input("User name", autocomplete="username")
            password = st.text_input(
                "Password, or one-time secret", type="password", autocomplete="current-password"
            )
            sent = st.form_submit_button("Log in", type="primary", width="stretch")
        if sent:
            _try(user.strip(), password.strip())


def render_first_password(login: Login) -> None:
    """Ask for a password of the user's own, once the one-time secret is spent."""
    with _card("password"):
        st.markdown("## Choose a password")
        st.caption(f"The one-time secret of {login.user['name']} is spent. From now on you log in with this.")
        with st.form("password", border=False):
            new = st.text_input("New password", type="password", autocomplete="new-password")
            again = st.text_input("The same again", type="password", autocomplete="new-password")
            sent = st.form_submit_button("Set password", type="primary", width="stretch")
        if sent and _set(login, None, new, again):
            st.rerun()


@st.dialog("Change your password")
def change_password(login: Login) -> None:
    """Ask for the current password and a new one."""
    with st.form("change-password", border=False):
        current = st.text_input("Current password", type="password", autocomplete="current-password")
        new = st.text_input("New password", type="password", autocomplete="new-password")
        again = st.text_input("The same again", type="password", autocomplete="new-password")
        sent = st.form_submit_button("Change it", type="primary", width="stretch")
    if sent and _set(login, current, new, again):
        state().notice = "Your password is changed. Your other logins have ended."
        st.rerun()


def _set(login: Login, current: str | None, new: str, again: str) -> bool:
    if new != again:
        st.error("The two are not the same. Type them again.", icon=":material/error:")
        return False
    try:
        Client(login).set_password(current, new)
    except ServiceError as e:
        problem(e)
        return False
    login.user["must_set_password"] = False
    return True


def _card(name: str) -> "st.delta_generator.DeltaGenerator":
    _, middle, _ = st.columns([1, 1.2, 1])
    return middle.container(border=True, key=f"card-{name}")


def _try(user: str, password: str) -> None:
    if not user or not password:
        st.error("Type both a user name and a password.", icon=":material/error:")
        return
    try:
        login = log_in(user, password, st.context.ip_address)
    except ServiceError as e:
        problem(e)
        return
    kept = state()
    kept.login_id, kept.notice = login.id, ""
    st.rerun()
