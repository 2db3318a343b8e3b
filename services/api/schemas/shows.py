"""Shows."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from services.api.schemas.common import Body, IdField, body_example, example
from services.api.text import Title
from services.db.models import Show

HEAVIEST: Final = 100

_SHOW: Final = {
    "id": "0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "name": "The-Long-Table",
    "title": "The Long Table",
    "weight": 1,
    "created_at": "2026-05-04T09:30:00Z",
    "revision": 1,
}


class NewShow(Body):
    """A show to create."""

    model_config = body_example(title="The Long Table")

    title: Title


class ShowChanges(Body):
    """What is to change; what is left out stays."""

    model_config = body_example(title="The Long Table (UK)", weight=2)

    title: Title | None = Field(None, description="the name in paths stays as it is")
    weight: int | None = Field(
        None,
        ge=1,
        le=HEAVIEST,
        description="its share of the machines against other shows; an Admin's to set",
    )


class ShowView(BaseModel):
    """A show."""

    model_config = example(**_SHOW)

    id: IdField
    name: str = Field(description="as in paths")
    title: str = Field(description="as it was typed")
    weight: int = Field(description="its share of the machines against other shows")
    created_at: datetime
    revision: int = Field(description="counts its changes; the ETag")

    @classmethod
    def of(cls, show: Show) -> "ShowView":
        """A row as it is answered."""
        return cls(
            id=show.id,
            name=show.name,
            title=show.title,
            weight=show.weight,
            created_at=show.created_at,
            revision=show.revision,
        )
