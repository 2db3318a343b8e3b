"""What can go wrong with access; each says what to do."""

from screenalyzer.errors import InputError, ScreenalyzerError, SettingsError


class KeysError(SettingsError):
    """The signing keys are damaged, or open to others; nothing can be signed or verified."""


class UserNameError(InputError):
    """A name that no user can have."""


class PasswordError(InputError):
    """A password that is too easy to guess, or too long."""


class LastAdminError(InputError):
    """The change would leave nobody who may administer."""

    def __init__(self, name: str) -> None:
        """Take the user's name."""
        super().__init__(
            f"{name!r} is the last active Admin, and somebody must be one. Make another user an Admin first."
        )


class LoginRefusedError(ScreenalyzerError):
    """Unknown user, wrong password or inactive user: nobody is told which."""


class ThrottledError(ScreenalyzerError):
    """Too many failed logins."""

    def __init__(self, wait_s: int) -> None:
        """Take the whole seconds until the next attempt is looked at."""
        super().__init__(f"Too many failed logins. Try again in {wait_s} s.")
        self.wait_s = wait_s


class CrowdedError(ScreenalyzerError):
    """More passwords are being checked than this machine has memory for."""
