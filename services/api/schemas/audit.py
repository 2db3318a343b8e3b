"""The audit logs."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from services.api.schemas.common import example

_LINE: Final = {
    "n": 12,
    "at": "2026-05-04T09:58:00.123Z",
    "actor": "ada",
    "action": "stage.done",
    "details": {"stage": "analytics"},
    "hash": "a" * 64,
}
_VERDICT: Final = {"whole": True, "kind": "ok", "lines": 12, "broken_line": None, "detail": ""}


class AuditLine(BaseModel):
    """Something that was done."""

    model_config = example(**_LINE)

    n: int = Field(description="number of the line, from 1")
    at: datetime
    actor: str = Field(description="who did it")
    action: str = Field(description="a short word with dots")
    details: dict[str, Any]
    hash: str = Field(description="over this line and the hash of the one before")


class AuditVerdict(BaseModel):
    """Whether the log is as it was written."""

    model_config = example(**_VERDICT)

    whole: bool = Field(description="no line was changed, dropped, inserted or moved")
    kind: Literal["ok", "torn", "tampered"] = Field(
        description="torn: the last line is being written, or its writer was killed; nothing is lost"
    )
    lines: int = Field(description="good lines from the top; only these are shown")
    broken_line: int | None = Field(description="number of the first one that is not good")
    detail: str = Field(description="what is wrong with it, for people")


class AuditPage(BaseModel):
    """Lines of a log, newest first."""

    model_config = example(items=[_LINE], next=None, verdict=_VERDICT)

    items: list[AuditLine]
    next: str | None = Field(description="send it as `cursor` to read on; null at the end")
    verdict: AuditVerdict
