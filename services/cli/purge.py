"""`screenalyzer purge`: removing an episode, a person or a show from everywhere, with the proof."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from screenalyzer.artifacts import clean_name
from screenalyzer.errors import EpisodeNameError, ServiceError
from services.cli.client import Api, segment
from services.cli.connected import talks
from services.cli.console import AsJson, err, out, say_json
from services.cli.jobs import finish, follow

app = typer.Typer(
    help="Remove something and all that came of it, and prove that it is gone. An Admin's.",
    no_args_is_help=True,
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the job that does it.")]
ShowName = Annotated[str, typer.Argument(metavar="SHOW", help="Title or name of the show.")]


@app.command()
@talks
def episode(
    api: Api,
    key: Annotated[str, typer.Argument(metavar="SHOW/EPISODE", help="Which.")],
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Remove an episode: video, crops, manifests, embeddings, its faces in the facebank, results."""
    show_name, slash, name = key.partition("/")
    if not slash:
        raise typer.BadParameter("name it as SHOW/EPISODE")
    found = _episode(api, _show(api, show_name), name)
    _confirm(f"episode {found['show']}/{found['name']}", yes)
    _purge(api, f"/v1/episodes/{found['id']}", no_wait, as_json)


@app.command()
@talks
def show(
    api: Api, name: ShowName, yes: Yes = False, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Remove a show with all of its episodes and people."""
    found = _show(api, name)
    _confirm(f"show {found['name']} with all of its episodes", yes)
    _purge(api, f"/v1/shows/{found['id']}", no_wait, as_json)


@app.command()
@talks
def person(
    api: Api,
    show_name: ShowName,
    name: Annotated[str, typer.Argument(metavar="PERSON", help="Name or id of the person.")],
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Remove a person of a show: faces, embeddings, crops and screen time, in every episode."""
    found = _show(api, show_name)
    path = f"/v1/shows/{found['id']}/people"
    people = [p for p in api.items(path) if name in {p["person_id"], p["name"]}]
    if len(people) != 1:
        raise ServiceError(
            f"show {found['name']} has {len(people) or 'no'} people {name!r}. Name one by its id."
        )
    _confirm(f"{people[0]['name']} from show {found['name']}", yes)
    _purge(api, f"{path}/{segment(people[0]['person_id'])}", no_wait, as_json)


def _confirm(what: str, yes: bool) -> None:
    if not yes:
        err.print(f"This removes {escape(what)} for good. Nothing brings it back.", style="red")
        typer.confirm("Remove it?", abort=True, err=True)


def _purge(api: Api, path: str, no_wait: bool, as_json: bool) -> None:
    job: dict[str, Any] = api.send("DELETE", path)
    if no_wait:
        if as_json:
            say_json(job)
        else:
            out.print(f"job {job['id']} removes it", markup=False, soft_wrap=True)
        return
    done = follow(api, [job["id"]], {job["id"]: "purge"}, quiet=as_json)
    finish(done, as_json)
    if not as_json:
        _show_proof(done[0]["result"] or {})


def _show_proof(result: dict[str, Any]) -> None:
    """What was removed, and what the search for its traces looked through and found."""
    for name, label in (("removed", "removed"), ("scan", "searched for traces")):
        counts = ", ".join(
            f"{count} {what.replace('_', ' ')}" for what, count in result.get(name, {}).items()
        )
        out.print(f"{label}: {counts or 'nothing'}", markup=False, soft_wrap=True)


def _show(api: Api, name: str) -> dict[str, Any]:
    return _one(api.items("/v1/shows"), name, "show")


def _episode(api: Api, of_show: dict[str, Any], name: str) -> dict[str, Any]:
    return _one(api.items("/v1/episodes", show_id=of_show["id"]), name, "episode")


def _one(items: Any, name: str, what: str) -> dict[str, Any]:
    try:
        wanted = clean_name(name, what)
    except EpisodeNameError:
        wanted = name
    found: dict[str, Any] | None = next((i for i in items if i["name"] == wanted), None)
    if found is None:
        raise ServiceError(f"there is no {what} {name!r} at the service.")
    return found
