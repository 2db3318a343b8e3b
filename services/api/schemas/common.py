"""What several resources share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.api.text import Id

IdField = Annotated[Id, Field(examples=["5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"])]


def example(**fields: Any) -> ConfigDict:
    """A model's configuration with an example of it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Body(BaseModel):
    """What a request brings: closed to unknown names, so that a misspelt one is no silent default."""

    model_config = ConfigDict(extra="forbid")


def body_example(**fields: Any) -> ConfigDict:
    """A request body's configuration with an example of it."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})
