"""People of a show."""

from pydantic import BaseModel, Field

from services.api.schemas.common import example
from services.privacy.people import ShowPerson


class PersonView(BaseModel):
    """A person of a show: known to its reviews or its facebank, or named in an episode."""

    model_config = example(
        person_id="0b8a9c1e-64a5-5d0f-9a3e-2f1d5c7b8e90", name="Ada Park", face_count=12, episodes=["s01e01"]
    )

    person_id: str = Field(description="stays, once a review has spoken of them, whatever the name becomes")
    name: str
    face_count: int = Field(description="faces that the facebank keeps")
    episodes: list[str] = Field(description="names of the episodes that they were found in")

    @classmethod
    def of(cls, person: ShowPerson) -> "PersonView":
        """A person as they are answered."""
        return cls(
            person_id=person.person_id,
            name=person.name,
            face_count=person.face_count,
            episodes=list(person.episodes),
        )
