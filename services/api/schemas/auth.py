"""Tokens."""

from typing import Literal

from pydantic import BaseModel, Field

from services.access.sessions import Grant
from services.api.schemas.common import example


class TokenAnswer(BaseModel):
    """What a login or a refresh gives, as OAuth2 (RFC 6749) names it."""

    model_config = example(
        access_token="eyJhbGciOiJIUzI1NiIsImtpZCI6IjNmMWMiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiI5YTgifQ.c2lnbmF0dXJl",
        token_type="bearer",
        expires_in=900,
        refresh_token="zL2v0mXo4q3Jr9nT1wYb6uKc8sHd5eGf.Qp7aRk2LxV9iMz0cWt4oBn6yUj1hEs3D",
        must_set_password=False,
    )

    access_token: str = Field(description="send it as `Authorization: Bearer …`")
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="seconds that the access token lives")
    refresh_token: str = Field(
        description="gives new tokens, once; whoever brings it a second time ends the login"
    )
    must_set_password: bool = Field(description="PUT /v1/users/me/password: the one-time secret is spent")

    @classmethod
    def of(cls, grant: Grant) -> "TokenAnswer":
        """A grant as it is answered."""
        return cls(
            access_token=grant.access_token,
            expires_in=grant.expires_in_s,
            refresh_token=grant.refresh_token,
            must_set_password=grant.must_set_password,
        )
