"""`up`, `down`, and what happens between them that nobody asked for."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from support.certificates import self_signed
from support.service import (
    Environment,
    RunningService,
    cli,
    command,
    eventually,
    first_login,
    free_port,
    processes_of,
    service_environment,
    start_service,
    state_of,
    stop_service,
)

import review_ui
from services.context import connect
from services.host.state import holder
from services.jobs.board import JobBoard
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    home = tmp_path_factory.mktemp("lifecycle")
    return service_environment(home, home / "data")


@pytest.fixture(scope="module")
def host(env: Environment) -> Iterator[RunningService]:
    """A service of this module's own, which its tests may break, in the order in which they stand here."""
    try:
        yield start_service(env)
    finally:
        stop_service(env)


def _addresses(root: Path) -> set[str]:
    """What failed logins were counted for."""
    with sqlite3.connect(root / "service.db") as database:
        keys = {key for (key,) in database.execute("SELECT key FROM login_throttles")}
    return {k.removeprefix("address:") for k in keys if k.startswith("address:")}


def _fail_to_log_in(url: str, verify: bool = True) -> None:
    form = {"grant_type": "password", "username": "nobody", "password": "wrong"}
    with httpx.Client(verify=verify) as client:
        answer = client.post(f"{url}/v1/auth/token", data=form, headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 401


def test_a_second_up_says_so_and_prints_the_same(host: RunningService) -> None:
    again = host.cli("up", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout) == {
        "api": host.url, "ui": None, "admin": "admin", "secret": None, "pid": host.pid,
        "data_root": str(host.root),
    }  # fmt: skip
    assert f"it runs already, process {host.pid}" in again.stderr


def test_status_says_what_runs(host: RunningService) -> None:
    eventually(lambda: state_of(host.root).workers == 4, 60, "four workers")  # type: ignore[union-attr]
    done = host.cli("status", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["running"], found["phase"], found["workers"]) == (True, "running", 4)
    assert found["apps"]["screenalyzer-api"] == "RUNNING"
    line = host.cli("status").stdout
    assert line.count("\n") == 1
    assert host.url in line


def test_what_it_keeps_is_for_its_user_alone(host: RunningService) -> None:
    names = ("service.db", "service.json", "secrets", "secrets/keys.json", "redis", "logs/service.log")
    assert {n: (host.root / n).stat().st_mode & 0o077 for n in names} == dict.fromkeys(names, 0)
    assert not (host.root / "secrets" / "first-admin-secret").exists()


def test_a_forwarded_address_is_not_believed(host: RunningService) -> None:
    _fail_to_log_in(host.url)
    assert _addresses(host.root) == {"127.0.0.1"}


def test_a_port_in_use_is_said_and_nothing_is_left(host: RunningService, tmp_path: Path) -> None:
    other = {**host.env, "SCREENALYZER_DATA_ROOT": str(tmp_path / "other")}
    port = host.url.rsplit(":", 1)[1]
    done = cli(other, "up", "--no-ui", "--port", port)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: port {port} of 127.0.0.1 cannot be used: Address already in use.")
    assert "--port" in last
    assert holder(tmp_path / "other") is None
    assert cli(other, "status").returncode == 1
    assert httpx.get(f"{host.url}/v1/health").status_code == 200


def test_a_killed_redis_is_back_within_two_seconds(host: RunningService) -> None:
    client = connect(ServiceSettings(data_root=host.root, redis_url=None))
    before = host.kill("redis-server")

    eventually(JobBoard(client).there, 2, "Redis answers again")
    assert before not in {p.pid for p in host.processes_named("redis-server")}
    client.close()


@pytest.mark.parametrize("victim", ["ProxyActor", "ServeReplica:screenalyzer-api", "ServeController"])
def test_a_killed_part_of_the_api_comes_back(host: RunningService, victim: str) -> None:
    host.kill(victim)
    time.sleep(0.5)
    done = host.cli("users", "list", "--json")  # the command line waits for it
    assert done.returncode == 0, done.stderr
    assert [u["name"] for u in json.loads(done.stdout)] == ["admin"]


def test_a_killed_worker_is_replaced(host: RunningService) -> None:
    eventually(lambda: len(host.processes_named("ray::Worker")) == 4, 60, "four workers")
    before = {p.pid for p in host.processes_named("ray::Worker")}
    killed = host.kill("ray::Worker")
    eventually(lambda: len(host.processes_named("ray::Worker")) == 4, 60, "four workers again")
    assert before - {p.pid for p in host.processes_named("ray::Worker")} == {killed}


def test_a_killed_crew_is_replaced_with_its_workers(host: RunningService) -> None:
    before = {p.pid for p in host.processes_named("ray::Worker")}
    host.kill("ServeReplica:screenalyzer-workers")

    def fresh() -> bool:
        now = {p.pid for p in host.processes_named("ray::Worker")}
        return len(now) == 4 and not now & before

    eventually(fresh, 60, "four other workers")


def test_a_killed_supervisor_leaves_nothing_in_the_way(
    host: RunningService, env: Environment, short_season: "list[DemoEpisode]"
) -> None:
    sent = host.cli("upload", str(short_season[0].video), "--show", "t", "--json")
    assert sent.returncode == 0, sent.stderr
    job_id = json.loads(sent.stdout)[0]["job_id"]
    family = psutil.Process(host.pid).children(recursive=True)
    psutil.Process(host.pid).send_signal(signal.SIGKILL)
    assert cli(env, "status").returncode == 1
    words = command("up", "--no-ui", "--port", host.url.rsplit(":", 1)[1], "--json")
    twice = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(process.communicate(timeout=240)[0]) for process in twice]
    assert [process.returncode for process in twice] == [0, 0]
    assert said[0] == said[1]
    assert said[0]["api"] == host.url
    assert not [p for p in family if p.is_running()]
    assert not processes_of(host.pid)
    watched = cli(env, "jobs", "watch", job_id, "--json")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout)["state"] == "done"


def test_a_locked_out_admin_gets_in_by_the_files(host: RunningService, env: Environment) -> None:
    done = cli(env, "users", "reset-admin", "--json")
    assert done.returncode == 0, done.stderr
    refused = cli(env, "users", "list")
    assert refused.returncode == 1
    assert "screenalyzer login" in refused.stderr
    found = json.loads(done.stdout)
    assert Path(found["secret"]).stat().st_mode & 0o777 == 0o600
    first_login(env, found["admin"], found["secret"])
    assert cli(env, "users", "list").returncode == 0


def test_down_ends_everything_and_may_be_said_twice(host: RunningService, env: Environment) -> None:
    found = state_of(host.root)
    assert found is not None
    family = psutil.Process(found.pid).children(recursive=True)
    began = time.monotonic()
    done = cli(env, "down")
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
    assert time.monotonic() - began < 30
    eventually(lambda: not [p for p in family if p.is_running()], 10, "all processes are gone")
    assert not processes_of(found.pid)
    assert not (host.root / "service.json").exists()
    with sqlite3.connect(host.root / "service.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM stage_runs WHERE state = 'running'").fetchall() == [
            (0,)
        ]
    again = cli(env, "down")
    assert (again.returncode, again.stdout) == (0, f"nothing runs on {host.root}\n")
    assert cli(env, "status").returncode == 1


def _first_object(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The JSON that a process says first; it goes on, unless it has failed."""
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    found: dict[str, Any] = json.loads("".join(lines))
    return found


def _streamlit(folder: Path) -> None:
    """A program of that name, which listens and writes down how it was started."""
    (folder / "streamlit").mkdir(parents=True)
    (folder / "streamlit" / "__init__.py").touch()
    (folder / "streamlit" / "__main__.py").write_text(
        "import json, os, pathlib, socket, sys, time\n"
        "port = int(sys.argv[sys.argv.index('--server.port') + 1])\n"
        "listening = socket.create_server(('127.0.0.1', port))\n"
        "kinds = ('SCREENALYZER_', 'DATABASE_', 'REDIS_')\n"
        "told = {k: v for k, v in os.environ.items() if k.startswith(kinds)}\n"
        "said = json.dumps([sys.argv[1:], told])\n"
        "pathlib.Path(__file__).with_name('started').write_text(said)\ntime.sleep(600)\n"
    )


def _ui_was_told(folder: Path, found: dict[str, Any], port: str, cert: Path) -> None:
    words, told = json.loads((folder / "streamlit" / "started").read_text())
    assert words[:2] == ["run", str(Path(review_ui.__file__).with_name("app.py"))]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options["--server.port"] == port
    assert options["--server.sslCertFile"] == str(cert)
    assert options["--browser.gatherUsageStats"] == "false"
    assert told == {
        "SCREENALYZER_URL": found["api"],
        "SCREENALYZER_PUBLIC_URL": found["api"],
        "SCREENALYZER_CA_CERT": str(cert),
    }


def _only_the_ui_may_call(url: str, ui: str) -> None:
    for origin, allowed in ((ui, ui), ("https://evil.example", None), (ui.replace("https", "http"), None)):
        answer = httpx.get(url, headers={"Origin": origin}, verify=False)
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_in_the_foreground_with_tls_a_ui_and_a_proxy_that_is_believed(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    _streamlit(tmp_path / "ui")
    env = service_environment(
        tmp_path, tmp_path / "data", SCREENALYZER_API__TLS_CERT=str(cert), SCREENALYZER_API__TLS_KEY=str(key),
        SCREENALYZER_API__TRUSTED_PROXIES='["127.0.0.1"]', PYTHONPATH=str(tmp_path / "ui"),
    )  # fmt: skip
    ports = ("--port", str(free_port()), "--ui-port", str(free_port()))
    words = command("up", *ports, "--json", "--foreground")
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            words, env=env, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        ) as process,
    ):
        try:
            found = _first_object(process)
            assert found["api"].startswith("https://127.0.0.1:")
            assert found["pid"] == process.pid
            assert found["ui"] == f"https://127.0.0.1:{ports[3]}"
            _ui_was_told(tmp_path / "ui", found, ports[3], cert)
            _only_the_ui_may_call(f"{found['api']}/v1/health", found["ui"])
            family = psutil.Process(process.pid).children(recursive=True)
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx.get(f"{found['api']}/v1/health")
            first_login(env, found["admin"], found["secret"])  # by the certificate that the data root names
            assert cli(env, "users", "list").returncode == 0
            stranger = cli(env, "users", "list", "--url", found["api"])
            assert stranger.returncode == 1
            assert "--ca-cert" in stranger.stderr
            named = ("--url", found["api"], "--ca-cert", str(cert))
            assert cli(env, "users", "list", *named).returncode == 0
            sent = cli(env, "upload", __file__, "--show", "t", *named)
            assert sent.returncode == 1
            assert "this is not a video file" in sent.stderr
            _fail_to_log_in(found["api"], verify=False)
            assert "203.0.113.9" in _addresses(tmp_path / "data")
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    assert code == 0
    assert holder(tmp_path / "data") is None
    eventually(lambda: not [p for p in family if p.is_running()], 10, "all processes are gone")


def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    env = service_environment(tmp_path, tmp_path / "data")
    words = command("up", "--no-ui", "--port", str(free_port()))
    with subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "starting Ray" not in process.stderr.readline():
            assert process.poll() is None
        pid = holder(tmp_path / "data")
        assert pid is not None
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "error: interrupted." in said
    assert holder(tmp_path / "data") is None
    eventually(lambda: not processes_of(pid), 15, "the cluster is gone")
    assert cli(env, "down").returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "mysql://somewhere/x", "names mysql"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/x", "the database does not answer"),
        ("SCREENALYZER_API__TLS_CERT", "/nowhere.pem", "set both"),
        ("SCREENALYZER_API__PORT", "99999", "SCREENALYZER_API__PORT"),
        ("SCREENALYZER_EMBED__EMBEDDER", "onnx:/nowhere.onnx", "nowhere.onnx"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, name: str, value: str, said: str) -> None:
    env = service_environment(tmp_path, tmp_path / "data", **{name: value})
    words = ("--port", str(free_port())) if "PORT" not in name else ()
    done = cli(env, "up", "--no-ui", *words)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert holder(tmp_path / "data") is None
