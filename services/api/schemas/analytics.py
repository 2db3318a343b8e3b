"""Figures over people and episodes. Times in milliseconds."""

from typing import Final

from pydantic import BaseModel, Field

from services.api.schemas.common import IdField, example

_EPISODE_ID: Final = "5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"
_SEASON_EPISODE: Final = {
    "episode_id": _EPISODE_ID,
    "name": "s01e01",
    "title": "Pilot",
    "duration_ms": 1_800_000,
    "unnamed": 3,
    "unnamed_ms": 41_000,
}
_SEASON_PERSON: Final = {"person": "Ada Park", "total_ms": 903_000, "ms": [903_000]}


class CoappearanceView(BaseModel):
    """How long each two people are on screen at the same time."""

    model_config = example(
        episode_id=_EPISODE_ID, people=["Ada", "Ben"], ms=[[61_000, 12_000], [12_000, 40_500]], left_out=0
    )

    episode_id: IdField
    people: list[str] = Field(description="the longest screen time first")
    ms: list[list[int]] = Field(
        description="a row and a column a person, in that order; on the diagonal their own screen time"
    )
    left_out: int = Field(description="people beyond the limit")


class SeasonEpisode(BaseModel):
    """An episode of a season."""

    model_config = example(**_SEASON_EPISODE)

    episode_id: IdField
    name: str = Field(description="as in paths")
    title: str = Field(description="as it was typed")
    duration_ms: int
    unnamed: int = Field(description="people on screen whom nobody has named; they are in no row")
    unnamed_ms: int = Field(description="their screen time together")


class SeasonPerson(BaseModel):
    """Somebody's screen time over a season."""

    model_config = example(**_SEASON_PERSON)

    person: str
    total_ms: int
    ms: list[int] = Field(description="in each of the episodes, in their order; 0 where they are not seen")


class WaitingEpisode(BaseModel):
    """An episode without results."""

    model_config = example(episode_id=_EPISODE_ID, name="s01e02", title="The Guest")

    episode_id: IdField
    name: str
    title: str


class SeasonView(BaseModel):
    """Screen time of every named person of a show in every episode."""

    model_config = example(
        show_id="0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f", episodes=[_SEASON_EPISODE], people=[_SEASON_PERSON],
        waiting=[],
    )  # fmt: skip

    show_id: IdField
    episodes: list[SeasonEpisode] = Field(description="those with results, by name")
    people: list[SeasonPerson] = Field(description="the longest screen time first")
    waiting: list[WaitingEpisode] = Field(description="episodes that have no results yet, by name")
