"""Users."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, WithJsonSchema

from services.access import names
from services.access.errors import UserNameError
from services.access.passwords import LONGEST_BYTES, SHORTEST
from services.api.schemas.common import Body, IdField, body_example, example
from services.api.text import plain
from services.db.models import Role, User

_USER: Final = {
    "id": "9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d",
    "name": "ada",
    "role": "analyst",
    "active": True,
    "must_set_password": True,
    "secret_until": "2026-05-07T09:30:00Z",
    "created_at": "2026-05-04T09:30:00Z",
    "revision": 1,
}


def _user_name(raw: str) -> str:
    try:
        return names.clean(raw)
    except UserNameError as e:
        raise ValueError(str(e)) from e


UserName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=names.LONGEST),
    AfterValidator(plain),
    AfterValidator(_user_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": names.LONGEST,
            "pattern": r"^[\p{L}\p{N}]([\p{L}\p{N} ._@+-]*[\p{L}\p{N}])?$",
            "description": "Unique without regard to case; nothing that cannot be seen.",
        }
    ),
]
"""What a user is called."""

NewPassword = Annotated[SecretStr, Field(min_length=SHORTEST, max_length=LONGEST_BYTES)]


class NewUser(Body):
    """A user to create."""

    model_config = body_example(name="ada", role="analyst")

    name: UserName
    role: Role = "analyst"


class UserChanges(Body):
    """What is to change; what is left out stays."""

    model_config = body_example(role="admin")

    role: Role | None = None
    active: bool | None = Field(None, description="false ends every login of the user at once")


class PasswordChange(Body):
    """A new password of one's own."""

    model_config = body_example(
        current_password="wrong horse battery staple", new_password="four words that nobody guesses"
    )

    current_password: Annotated[SecretStr, Field(max_length=LONGEST_BYTES)] | None = Field(
        None, description="not needed after a login with a one-time secret"
    )
    new_password: NewPassword = Field(
        description=f"{SHORTEST} characters or more, none of those that everybody tries first"
    )


class UserView(BaseModel):
    """A user."""

    model_config = example(**_USER)

    id: IdField
    name: str
    role: Role
    active: bool = Field(description="whether the user may log in")
    must_set_password: bool = Field(description="has none, only a one-time secret, used or not")
    secret_until: datetime | None = Field(
        description="when the unused one-time secret ends; null without one"
    )
    created_at: datetime
    revision: int = Field(description="counts the changes; the ETag")

    @classmethod
    def of(cls, user: User) -> "UserView":
        """A row as it is answered."""
        return cls.model_validate(fields_of(user))


class UserWithSecret(UserView):
    """A user who has just been given a one-time secret."""

    model_config = example(**_USER, secret="4k7m-9qxz-t2hv-81np-c6wd-rj3f-05ey")

    secret: str | None = Field(
        description="logs in once, as the password; shown this one time, and null in a repeated answer"
    )


def fields_of(user: User) -> dict[str, object]:
    """A row's fields as they are answered."""
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "active": user.active,
        "must_set_password": user.password_hash is None,
        "secret_until": user.secret_until if user.secret_hash else None,
        "created_at": user.created_at,
        "revision": user.revision,
    }
