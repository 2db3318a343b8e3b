"""What a person can do to an episode's people, as data; `plan` turns each into changes of decisions."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Ref = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Mark = Literal["not_face", "background"]
SpanKind = Literal["add", "trim"]
LARGEST_SUBJECT = 10_000


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(_Operation):
    """What an operation is about: whole groups, pieces of tracks, or single faces. At least one."""

    groups: tuple[Ref, ...] = Field((), max_length=LARGEST_SUBJECT, description="ids of groups")
    pieces: tuple[Ref, ...] = Field((), max_length=LARGEST_SUBJECT, description="ids of tracks, or of parts")
    faces: tuple[Ref, ...] = Field((), max_length=LARGEST_SUBJECT, description="ids of detections")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.groups or self.pieces or self.faces):
            raise ValueError("name at least one group, piece or face")
        return self


class Assign(_Operation):
    """This is a person: one of the show by id, or by name, who is made where there is none yet."""

    op: Literal["assign"] = "assign"
    subject: Subject
    person: Ref | None = None
    name: PersonName | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.person is None) == (self.name is None):
            raise ValueError("give either person or name")
        return self


class Confirm(_Operation):
    """The names that these groups bear are right, for all that is in them."""

    op: Literal["confirm"] = "confirm"
    groups: tuple[Ref, ...] = Field(min_length=1, max_length=1000)


class MergeGroups(_Operation):
    """These groups are one person. The first that has a name gives it; else the first stays."""

    op: Literal["merge"] = "merge"
    groups: tuple[Ref, ...] = Field(min_length=2, max_length=1000)


class Split(_Operation):
    """These are somebody else than the rest of their groups: they become a group of their own."""

    op: Literal["split"] = "split"
    subject: Subject


class NotPerson(_Operation):
    """This is not that person, and will never be taken for them again."""

    op: Literal["not_person"] = "not_person"
    subject: Subject
    person: Ref


class Refuse(_Operation):
    """These two groups are different people; they are never suggested again."""

    op: Literal["refuse"] = "refuse"
    group_a: Ref
    group_b: Ref


class MarkAs(_Operation):
    """This is no face, or an extra in the background who is not credited; null takes the mark away."""

    op: Literal["mark"] = "mark"
    subject: Subject
    mark: Mark | None


class RenamePerson(_Operation):
    """A person of the show has another name, in all its episodes."""

    op: Literal["rename_person"] = "rename_person"
    person: Ref
    name: PersonName


class MergePeople(_Operation):
    """Two people of the show are one, in all its episodes."""

    op: Literal["merge_people"] = "merge_people"
    person: Ref
    into: Ref


class AddSpan(_Operation):
    """A person is on screen (`add`) or is not (`trim`) in an interval, whatever was detected.

    Times in milliseconds of the source's clock; the interval is half open.
    """

    op: Literal["add_span"] = "add_span"
    person: Ref | None = None
    name: PersonName | None = None
    kind: SpanKind
    start_ms: int
    end_ms: int

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.person is None) == (self.name is None):
            raise ValueError("give either person or name")
        if self.end_ms <= self.start_ms:
            raise ValueError("end_ms must be after start_ms")
        return self


class RemoveSpan(_Operation):
    """Take an interval that was added or trimmed by hand away again."""

    op: Literal["remove_span"] = "remove_span"
    span: Ref


class Lock(_Operation):
    """Protect groups, or the whole episode where none are named, from edits; or open them again."""

    op: Literal["lock"] = "lock"
    groups: tuple[Ref, ...] = Field((), max_length=1000)
    locked: bool = True


Operation = Annotated[
    Assign | Confirm | MergeGroups | Split | NotPerson | Refuse | MarkAs | RenamePerson | MergePeople
    | AddSpan | RemoveSpan | Lock,
    Field(discriminator="op"),
]  # fmt: skip
