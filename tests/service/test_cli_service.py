"""The service over the command line: users, uploads, jobs, purges, as their people do it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.service import PASSWORD, Environment, RunningService, cli, command, eventually

from services.jobs.plans import PLANS

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

_MIB = 1 << 20


@pytest.fixture
def stranger(service: RunningService, tmp_path: Path) -> Environment:
    """The environment of somebody else on the machine, who is not logged in."""
    return {
        **service.env,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def _json(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _errors(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 1, done.stdout
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def _get(service: RunningService, path: str, **params: str) -> Any:
    return (
        httpx.get(f"{service.url}/v1/{path}", params=params, headers=service.headers)
        .raise_for_status()
        .json()
    )


def _person(service: RunningService, stranger: Environment, name: str, *words: str) -> dict[str, Any]:
    """A new user, who is logged in and has set the password of all tests."""
    made: dict[str, Any] = _json(service.cli("users", "add", name, *words, "--json"))
    done = cli(stranger, "login", "--user", name, "--password-stdin", stdin=f"{made['secret']}\n")
    assert done.returncode == 0, done.stderr
    assert "users password" in done.stderr
    assert cli(stranger, "users", "password", "--password-stdin", stdin=f"{PASSWORD}\n").returncode == 0
    return made


def test_a_user_from_the_first_login_to_the_last(service: RunningService, stranger: Environment) -> None:
    refused = _errors(cli(stranger, "users", "list"))
    assert refused == [f"error: nobody is logged in at {service.url}. Run `screenalyzer login`."]
    made = _person(service, stranger, "Bob")
    assert (made["role"], made["must_set_password"]) == ("analyst", True)
    kept = Path(stranger["XDG_CONFIG_HOME"]) / "screenalyzer" / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    spent = cli(stranger, "login", "--user", "Bob", "--password-stdin", stdin=f"{made['secret']}\n")
    assert "is wrong" in _errors(spent)[0]
    assert _errors(cli(stranger, "users", "list")) == ["error: Only an Admin may do this. Ask one."]
    assert _json(cli(stranger, "jobs", "list", "--json")) == _json(service.cli("jobs", "list", "--json"))

    assert service.cli("users", "set", "bob", "--role", "admin").stdout == "Bob: admin, may log in\n"
    assert "Bob" in {u["name"] for u in _json(cli(stranger, "users", "list", "--json"))}
    assert service.cli("users", "set", "BOB", "--inactive").stdout == "Bob: admin, may not log in\n"
    assert "screenalyzer login" in _errors(cli(stranger, "users", "list"))[0]
    service.cli("users", "set", "bob", "--active", "--role", "analyst")
    again = cli(stranger, "login", "--user", "Bob", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert again.returncode == 0, again.stderr
    assert cli(stranger, "logout").returncode == 0
    assert not json.loads(kept.read_text())
    assert _errors(cli(stranger, "logout"))

    fresh = _json(service.cli("users", "reset", "bob", "--json"))
    assert fresh["secret"] != made["secret"]
    assert (
        "is wrong"
        in _errors(cli(stranger, "login", "--user", "Bob", "--password-stdin", stdin=f"{PASSWORD}\n"))[0]
    )
    assert service.cli("users", "remove", "bob").stdout == "Bob is removed\n"
    assert "Bob" not in {u["name"] for u in _json(service.cli("users", "list", "--json"))}
    assert "there is no user 'bob'" in _errors(service.cli("users", "remove", "bob"))[0]


def test_a_password_is_changed_with_the_current_one(service: RunningService, stranger: Environment) -> None:
    _person(service, stranger, "eve")
    new = "another password for the tests 8153"
    wrong = cli(stranger, "users", "password", "--password-stdin", stdin=f"{new}\nnot the current one\n")
    assert "is not your password" in _errors(wrong)[0]
    weak = cli(stranger, "users", "password", "--password-stdin", stdin=f"short\n{PASSWORD}\n")
    assert len(_errors(weak)) == 1
    done = cli(stranger, "users", "password", "--password-stdin", stdin=f"{new}\n{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert cli(stranger, "jobs", "list").returncode == 0
    service.cli("users", "remove", "eve")


def test_the_last_admin_stays(service: RunningService) -> None:
    assert "last active Admin" in _errors(service.cli("users", "remove", "admin"))[0]
    assert "last active Admin" in _errors(service.cli("users", "set", "admin", "--role", "analyst"))[0]


def test_a_token_and_an_address_from_the_environment(service: RunningService, stranger: Environment) -> None:
    bare = {k: v for k, v in stranger.items() if k != "SCREENALYZER_DATA_ROOT"}
    named = {**bare, "SCREENALYZER_URL": service.url, "SCREENALYZER_TOKEN": service.admin_token}
    assert cli(named, "users", "list").returncode == 0
    forged = cli({**named, "SCREENALYZER_TOKEN": "forged"}, "users", "list")
    assert "expired or revoked" in _errors(forged)[0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("jobs", "show", "0" * 32), 1),
        (("jobs", "cancel", "../users"), 1),
        (("jobs", "show"), 2),
        (("jobs", "frobnicate"), 2),
        (("users", "set", "admin"), 2),
        (("users", "add", "x", "--role", "king"), 2),
        (("upload", "/nowhere.mp4", "--show", "t"), 2),
        (("upload", __file__, __file__, "--show", "t", "--episode", "e"), 2),
        (("purge", "episode", "no-slash", "--yes"), 2),
        (("purge", "show", "nowhere", "--yes"), 1),
        (("login", "--secret-file", "/nowhere"), 1),
    ],
)
def test_exit_codes(service: RunningService, words: tuple[str, ...], code: int) -> None:
    done = service.cli(*words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_episodes_are_uploaded_and_processed(
    service: RunningService, short_season: "list[DemoEpisode]"
) -> None:
    videos = [str(e.video) for e in short_season[:2]]
    done = service.cli("upload", *videos, __file__, "--show", "The Long Table", "--wait", "--json")
    assert _errors(done) == ["error: test_cli_service.py: this is not a video file, or its header is "
                             "damaged. Give a video such as MP4, MOV, MKV, WebM or TS."]  # fmt: skip
    outcomes = json.loads(done.stdout)
    assert [o["job"]["state"] for o in outcomes[:2]] == ["done", "done"]
    for video, outcome in zip(short_season[:2], outcomes[:2], strict=True):
        folder = service.root / "outputs" / "The-Long-Table" / video.video.stem
        assert (folder / "totals.csv").is_file(), outcome
    assert not list((service.root / "uploads").glob("*.part"))
    job_id = outcomes[0]["job_id"]
    shown = service.cli("jobs", "show", job_id)
    assert [s for s, _ in PLANS["process"] if s in shown.stdout] == [s for s, _ in PLANS["process"]]
    assert job_id in service.cli("jobs", "list", "--state", "done").stdout
    watched = service.cli("jobs", "watch", job_id)
    assert watched.returncode == 0
    assert f"{job_id}: 100%, done" in watched.stderr


def test_a_job_is_paused_resumed_cancelled_and_done_again(
    service: RunningService, longer: "DemoEpisode"
) -> None:
    sent = service.cli("upload", str(longer.video), "--show", "stop and go", "--json")
    job_id = _json(sent)[0]["job_id"]
    eventually(lambda: _get(service, f"jobs/{job_id}")["state"] == "running", 60, "the job runs")
    assert service.cli("jobs", "pause", job_id).returncode == 0
    watched = service.cli("jobs", "watch", job_id)
    assert _errors(watched) == [f"error: job {job_id} is paused"]
    assert service.cli("jobs", "cancel", job_id).returncode == 0
    began = time.monotonic()
    assert service.cli("jobs", "watch", job_id, "--json").returncode == 1
    assert time.monotonic() - began < 10
    assert _get(service, f"jobs/{job_id}")["state"] == "cancelled"
    assert service.cli("jobs", "resume", job_id).returncode == 0
    assert _json(service.cli("jobs", "watch", job_id, "--json"))["state"] == "done"
    assert _json(service.cli("jobs", "retry", job_id, "--stage", "analytics", "--json"))["state"] != "done"
    assert _json(service.cli("jobs", "watch", job_id, "--json"))["state"] == "done"
    assert "no stage 'export'" in _errors(service.cli("jobs", "retry", job_id, "--stage", "export"))[0]


def _offsets(service: RunningService, name: str) -> dict[str, int]:
    found = _get(service, "uploads")["items"]
    return {u["id"]: u["offset"] for u in found if u["file_name"] == name}


def _kill_the_client(_: RunningService, process: "subprocess.Popen[str]") -> None:
    process.kill()


def _kill_the_replica(service: RunningService, _: "subprocess.Popen[str]") -> None:
    service.kill("ServeReplica:screenalyzer-api")


def _kill_the_proxy(service: RunningService, _: "subprocess.Popen[str]") -> None:
    service.kill("ProxyActor")


@pytest.mark.parametrize("strike", [_kill_the_client, _kill_the_replica, _kill_the_proxy])
def test_an_upload_that_is_cut_off_goes_on(
    service: RunningService, tmp_path: Path,
    strike: Callable[[RunningService, "subprocess.Popen[str]"], None],
) -> None:  # fmt: skip
    file = tmp_path / f"{strike.__name__}.mp4"
    with file.open("wb") as out:
        out.truncate(400 * _MIB)  # no video, which is seen when all of it has come
    words = command("upload", str(file), "--show", "t", "--json")
    with subprocess.Popen(
        words, env=service.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        eventually(lambda: any(_offsets(service, file.name).values()), 30, "the first part has come")
        before = _offsets(service, file.name)
        strike(service, process)
        stdout, stderr = process.communicate(timeout=200)
    if process.returncode < 0:
        done = service.cli("upload", str(file), "--show", "t", "--json")
        stdout, stderr = done.stdout, done.stderr
    assert "this is not a video file" in stderr
    assert {json.loads(stdout)[0]["upload_id"]} == set(before)
    assert _offsets(service, file.name) == dict.fromkeys(before, 400 * _MIB)


def test_what_is_purged_is_gone_and_proved(
    service: RunningService, short_season: "list[DemoEpisode]"
) -> None:
    video = short_season[0].video
    sent = service.cli("upload", str(video), "--show", "purged", "--wait")
    assert sent.returncode == 0, sent.stderr
    kept = service.root / "outputs" / "purged" / video.stem
    assert kept.is_dir()
    asked = service.cli("purge", "episode", f"purged/{video.stem}", stdin="n\n")
    assert asked.returncode == 1
    assert kept.is_dir()
    done = service.cli("purge", "episode", f"purged/{video.stem}", "--yes")
    assert done.returncode == 0, done.stderr
    assert "searched for traces: " in done.stdout
    assert "0 found" in done.stdout
    assert not kept.exists()
    assert "no episode" in _errors(service.cli("purge", "episode", f"purged/{video.stem}", "--yes"))[0]
    assert _json(service.cli("purge", "show", "purged", "--yes", "--json"))["state"] == "done"
    assert "no show" in _errors(service.cli("purge", "show", "purged", "--yes"))[0]


def test_keys_are_rotated_under_a_running_service(service: RunningService, tmp_path: Path) -> None:
    before = _json(service.cli("keys", "rotate", "--json"))["kid"]
    assert service.cli("users", "list").returncode == 0, "what the last key has signed is still good"
    assert httpx.get(f"{service.url}/v1/users/me", headers=service.headers).status_code == 200
    assert before in (service.root / "secrets" / "keys.json").read_text()
    nowhere = cli({**service.env, "SCREENALYZER_DATA_ROOT": str(tmp_path / "none")}, "keys", "rotate")
    assert "there are no keys" in _errors(nowhere)[0]
    assert not (tmp_path / "none").exists()
