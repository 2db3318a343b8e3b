"""The image: what it is made from is there, a linter takes it, and it has what the project asks for."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.deployments import INFRA, REPO, installed_program, names_of

_FILE = REPO / "Dockerfile"


def _instructions() -> list[tuple[str, str]]:
    """Instruction and its words, line by line, with what was continued in one."""
    lines = [line for line in _FILE.read_text().splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined]


def _stages() -> dict[str, list[tuple[str, str]]]:
    stages: dict[str, list[tuple[str, str]]] = {}
    for word, rest in _instructions():
        if word == "FROM":
            stages[rest.split(" AS ")[1]] = []
        elif stages:
            list(stages.values())[-1].append((word, rest))
    return stages


def _copied() -> set[str]:
    """What is copied from the checkout."""
    copies = [rest.split() for word, rest in _instructions() if word == "COPY" and "--from" not in rest]
    return {source for words in copies for source in words[:-1]}


def test_a_linter_takes_it() -> None:
    words = [installed_program("hadolint"), "--no-color", "--failure-threshold", "info", str(_FILE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_both_targets_run_as_somebody_without_rights_and_have_the_same_parts() -> None:
    stages = _stages()
    assert list(stages)[-1] == "cpu", "the last is what is built where none is named"
    for target in ("cpu", "cuda"):
        assert stages[target][-1] == ("USER", "10001:10001")
    assert [c for c in stages["cpu"] if c[0] != "COPY"] == [
        c for c in stages["cuda"] if c[0] not in {"COPY", "ENV"}
    ]
    base = dict(stages["base"])
    assert base["HEALTHCHECK"].endswith('"http://127.0.0.1:8000/v1/health"]')
    assert base["CMD"] == '["screenalyzer", "up", "--foreground"]'


def test_what_it_copies_is_there_and_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert _copied() == set(sent)
    assert all((REPO / source).exists() for source in sent)


def test_it_holds_every_package_of_the_project() -> None:
    packages = tomllib.loads((REPO / "pyproject.toml").read_text())
    named = packages["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(named) <= _copied()


def test_it_installs_what_the_project_asks_for_in_the_tested_versions(tmp_path: Path) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    for extras, wanted in (([], project["dependencies"]), (["gpu"], project["optional-dependencies"]["gpu"])):
        for name in ("requirements.py", "pyproject.toml"):  # side by side, as in the image
            source = REPO / name if (REPO / name).exists() else REPO / "tools" / name
            (tmp_path / name).write_bytes(source.read_bytes())
        words = [installed_program("python"), str(tmp_path / "requirements.py"), *extras]
        assert subprocess.check_output(words, text=True).splitlines() == wanted
    installs = re.findall(r"pip install ([^&;]+)", _FILE.read_text().replace("\\\n", " "))
    assert all("-c constraints.txt" in i or "--no-deps" in i for i in installs)
    assert "-c constraints.txt" in (REPO / "tools" / "setup.sh").read_text()


def test_its_python_is_one_that_the_project_runs_on() -> None:
    (version,) = re.findall(r"^ARG PYTHON=(\S+)$", _FILE.read_text(), flags=re.MULTILINE)
    needs = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["requires-python"]
    assert needs.startswith(f">={version},")


def test_its_settings_are_settings() -> None:
    from screenalyzer.settings import Settings  # noqa: PLC0415 - slow to import
    from services.settings import ServiceSettings  # noqa: PLC0415 - likewise

    env = dict(_stages()["base"])["ENV"]
    named = {n for n in re.findall(r"(\w+)=", env) if n.startswith("SCREENALYZER_")}
    assert named
    assert named <= {*names_of(Settings), *names_of(ServiceSettings)}


@pytest.mark.parametrize("name", ["head.sh", "compose/redis.sh"])
def test_a_shell_takes_the_scripts(name: str) -> None:
    shell = "bash" if name == "head.sh" else "sh"
    done = subprocess.run([shell, "-n", INFRA / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
