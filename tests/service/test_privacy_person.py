"""Purging a person of a show: out of every episode, the facebank and the rows; the rest stays readable."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, text
from support.api import api_on, shelve

from screenalyzer import audit, facebank
from screenalyzer.artifacts import EpisodePaths, read_table, write_table
from screenalyzer.schemas import CLUSTERS
from services.access import trail
from services.db.models import Event, Job, now
from services.privacy import purge

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

NAME = "Xanthippe Quill"


def _name_first(paths: EpisodePaths) -> None:
    """Name the first group, as the facebank would."""
    for path in (paths.clusters, paths.reviewed_clusters):
        table = read_table(path, CLUSTERS)
        names = [NAME, *table["name"].to_pylist()[1:]]
        position = table.schema.get_field_index("name")
        named = table.set_column(position, table.schema.field("name"), [names])
        kept = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        write_table(path, named, CLUSTERS, kept)


def test_a_person_goes_from_everywhere(
    services: "Services", processed: EpisodePaths, short_season: "list[DemoEpisode]"
) -> None:
    episode_id = shelve(services, processed, short_season[0].video)
    root = services.settings.root
    _name_first(replace(processed, root=root))
    with api_on(services) as api:
        show_id = api.get("/shows")["items"][0]["id"]
        people = api.get(f"/shows/{show_id}/people")["items"]
        who = facebank.person_id(NAME)
        assert people == [{"person_id": who, "name": NAME, "face_count": 0, "episodes": [processed.episode]}]
        assert api.refused(403, "DELETE", f"/shows/{show_id}/people/{who}", api.analyst) == "not-allowed"
        stranger = facebank.person_id("nobody")
        assert api.refused(404, "DELETE", f"/shows/{show_id}/people/{stranger}") == "not-found"
        answer = api.ask("DELETE", f"/shows/{show_id}/people/{who}")
        assert (answer.status_code, NAME in answer.text) == (202, False)
        assert api.refused(409, "DELETE", f"/shows/{show_id}/people/{who}") == "busy"
        job_id = answer.json()["id"]
        with services.database.write() as session:
            job = session.get_one(Job, job_id)
            session.add(Event(job_id=job_id, kind="note", data={"said": f"faces of {NAME}"}, at=now()))
            params = {**job.params, "job_id": job_id}
        found = purge.run(services, params, lambda *_: None, lambda: False)
        assert found["removed"]["people"] == 1
        assert found["removed"]["faces"] > 0
        assert found["scan"]["found"] == 0
        assert purge.run(services, params, lambda *_: None, lambda: False) == found
        assert api.get(f"/shows/{show_id}/people")["items"] == []
        assert NAME not in json.dumps(api.get(f"/episodes/{episode_id}/totals"))
    assert [p for p in root.rglob("*") if p.is_file() and NAME.encode() in p.read_bytes()] == []
    tables = MetaData()
    tables.reflect(services.database.engine)
    with services.database.read() as session:
        for name in tables.tables:
            assert NAME not in repr(session.execute(text(f'SELECT * FROM "{name}"')).all())
    (line,) = [x for x in audit.read(trail.path(services)) if x["action"] == "person.purged"]
    assert line["details"]["person_id"] == who
