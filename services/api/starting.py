"""Answering a request that started a job."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request, Response

from services.access.sessions import Caller
from services.api.deps import ServicesDep, SessionDep, mark
from services.api.progress import letters_of, look, say_whether_live, view
from services.api.schemas.jobs import JobView
from services.db.models import Job
from services.jobs.send import send


@dataclass(frozen=True)
class JobStarter:
    """Sends a job to the workers once the request's transaction is committed, and answers it."""

    request: Request
    response: Response
    session: SessionDep
    services: ServicesDep

    def answer(self, job: Job, caller: Caller) -> JobView:
        """The job as the answer, with its place and ETag; what is due is sent after the commit."""
        self.request.state.after_commit.append(partial(send, self.services))
        self.session.flush()
        mark(self.response, job)
        self.response.headers["Location"] = f"/v1/jobs/{job.id}"
        letters = letters_of(self.session, [job])[job.id]
        live = look(self.services, self.session, [job])
        say_whether_live(self.response, live)
        return view(job, live, letters, tracebacks=caller.role == "admin")


async def get_starter(
    request: Request, response: Response, session: SessionDep, services: ServicesDep
) -> JobStarter:
    """What a route that starts a job asks for."""
    return JobStarter(request, response, session, services)


JobStarterDep = Annotated[JobStarter, Depends(get_starter)]
