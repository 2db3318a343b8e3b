"""Route of the service's health."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.access.sessions import authenticate
from services.api.deps import ServicesDep, SessionDep, bearer
from services.api.health import discreet, examine
from services.api.schemas.health import HealthView
from services.api.unit import UnitOfWork
from services.context import Services

router = APIRouter(tags=["health"], route_class=UnitOfWork)

_RESPONSES: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthView, "description": "The database is down: nothing can be answered"}
}


@router.head("/health", include_in_schema=False)
@router.get("/health", responses=_RESPONSES)
def get_health(
    request: Request, response: Response, session: SessionDep, services: ServicesDep
) -> HealthView:
    """How the service is. Anybody may ask; figures are for those who are logged in."""
    found = examine(services)
    response.status_code = 503 if found.status == "down" else 200
    response.headers["Cache-Control"] = "no-store"
    return found if _logged_in(services, session, bearer(request)) else discreet(found)


def _logged_in(services: Services, session: Session, token: str) -> bool:
    try:
        return bool(token) and authenticate(session, services.keyring, token) is not None
    except SQLAlchemyError:  # without the database nobody can be known
        return False
