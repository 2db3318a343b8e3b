import base64
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from screenalyzer.errors import SettingsError
from services.access.keys import KEYS_FILE, Keyring, new_keys
from services.settings import ServiceSettings

_REPO = Path(__file__).resolve().parents[2]
_FIRST_USE = """
import sys, time
from pathlib import Path
from services.access.keys import Keyring
print("ready", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.0005)
key = Keyring(Path(sys.argv[2])).newest("url")
print(key.kid, key.secret.hex(), flush=True)
"""
_ROTATE_FOR_EVER = """
import sys
from pathlib import Path
from services.access.keys import Keyring
keyring = Keyring(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    keyring.rotate()
"""


def _start(code: str, *args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_REPO)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _document(*secrets: bytes) -> str:
    keys = [{"kid": f"k{n}", "secret": base64.b64encode(s).decode()} for n, s in enumerate(secrets)]
    return json.dumps({"keys": keys})


def test_the_first_use_makes_a_key_that_only_this_user_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    keyring = Keyring(folder)
    assert not folder.exists()
    key = keyring.newest("url")
    assert len(key.secret) == 32
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / KEYS_FILE).stat().st_mode & 0o777 == 0o600
    assert Keyring(folder).newest("url") == key


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Keyring(tmp_path / "secrets").newest("url")
    finally:
        os.umask(before)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / KEYS_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_is_another_for_another_purpose_and_none_is_what_the_file_holds(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    url, token = keyring.newest("url"), keyring.newest("access-token")
    assert url.kid == token.kid
    stored = base64.b64decode(json.loads((tmp_path / KEYS_FILE).read_bytes())["keys"][0]["secret"])
    assert len({url.secret, token.secret, stored}) == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_is_open_to_others_is_refused_also_while_running(tmp_path: Path, mode: int) -> None:
    keyring = Keyring(tmp_path)
    keyring.newest("url")
    (tmp_path / KEYS_FILE).chmod(mode)
    for each in (keyring, Keyring(tmp_path)):
        with pytest.raises(SettingsError, match=f"mode {mode:04o}.*chmod 600"):
            each.newest("url")
    with pytest.raises(SettingsError, match="chmod 600"):
        keyring.rotate()
    (tmp_path / KEYS_FILE).chmod(0o600)
    keyring.newest("url")


@pytest.mark.parametrize(
    "content",
    [
        "", "null", "[]", "{}", '{"keys": []}', '{"keys": [1]}', '{"keys": {"kid": "a"}}',
        '{"keys": [{"kid": "a", "secret": "!"}]}', '{"keys": [{"kid": "a", "secret": 7}]}',
        _document(b"short"), _document(bytes(32)).replace("k0", ""),
        json.dumps({"keys": [*json.loads(_document(bytes(32)))["keys"]] * 2}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_not_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / KEYS_FILE
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match=re.escape(KEYS_FILE)):
        Keyring(tmp_path).newest("url")
    assert file.read_text() == content


def test_rotation_signs_with_the_new_key_and_keeps_the_last(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    first = keyring.newest("url")
    second_kid = keyring.rotate()
    second = keyring.newest("url")
    assert second.kid == second_kid != first.kid
    assert keyring.find(first.kid, "url") == first
    third_kid = keyring.rotate()
    assert [keyring.find(k, "url") is not None for k in (first.kid, second.kid, third_kid)] == [
        False,
        True,
        True,
    ]
    only = keyring.rotate(keep=1)
    assert keyring.find(third_kid, "url") is None
    assert keyring.newest("url").kid == only
    assert (tmp_path / KEYS_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="the new key is kept"):
        keyring.rotate(keep=0)


def test_rotation_before_the_first_use_makes_one_key(tmp_path: Path) -> None:
    kid = Keyring(tmp_path / "secrets").rotate()
    assert len(json.loads((tmp_path / "secrets" / KEYS_FILE).read_bytes())["keys"]) == 1
    assert Keyring(tmp_path / "secrets").newest("url").kid == kid


def test_a_running_replica_learns_of_a_rotation_and_of_a_removed_file(tmp_path: Path) -> None:
    replica, other = Keyring(tmp_path), Keyring(tmp_path)
    old = replica.newest("url")
    kid = other.rotate()
    assert replica.newest("url").kid == kid
    assert replica.find(old.kid, "url") == old
    (tmp_path / KEYS_FILE).unlink()
    fresh = replica.newest("url")
    assert fresh.kid not in {kid, old.kid}
    assert other.newest("url") == fresh


def test_keys_from_the_environment_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENALYZER_SIGNING_KEYS", _document(b"n" * 32, b"o" * 32))
    settings = ServiceSettings(data_root=tmp_path)
    assert "nnnn" not in repr(settings)
    assert base64.b64encode(b"n" * 32).decode() not in repr(settings)
    keyring = Keyring(settings.secrets, settings.signing_keys)
    assert keyring.newest("url").kid == "k0"
    assert keyring.find("k1", "url") is not None
    assert keyring.find("k2", "url") is None
    assert not settings.secrets.exists()
    with pytest.raises(SettingsError, match="SCREENALYZER_SIGNING_KEYS"):
        keyring.rotate()


def test_the_environment_and_the_same_file_are_the_same_keys(tmp_path: Path) -> None:
    by_file = Keyring(tmp_path)
    key = by_file.newest("access-token")
    given = SecretStr((tmp_path / KEYS_FILE).read_text())
    assert Keyring(tmp_path / "elsewhere", given).newest("access-token") == key


@pytest.mark.parametrize("given", ["{}", "secret", _document(b"short")])
def test_bad_keys_in_the_environment_are_refused_at_the_start(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match="SCREENALYZER_SIGNING_KEYS"):
        Keyring(tmp_path, SecretStr(given))


def test_many_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    go, folder = tmp_path / "go", tmp_path / "secrets"
    processes = [_start(_FIRST_USE, go, folder) for _ in range(6)]
    go.touch()
    answers = {p.communicate(timeout=60)[0] for p in processes}
    assert all(p.returncode == 0 for p in processes)
    assert len(answers) == 1
    key = Keyring(folder).newest("url")
    assert answers == {f"{key.kid} {key.secret.hex()}\n"}


def test_a_kill_at_any_moment_leaves_whole_keys_and_no_lock(tmp_path: Path) -> None:
    moments = random.Random(20260504)
    keyring = Keyring(tmp_path)
    for _ in range(4):
        process = _start(_ROTATE_FOR_EVER, tmp_path)
        time.sleep(moments.uniform(0.005, 0.05))
        process.kill()
        process.communicate()
        before = keyring.newest("url")
        keyring.rotate()
        assert keyring.find(before.kid, "url") == before
        assert (tmp_path / KEYS_FILE).stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_what_the_environment_takes(tmp_path: Path) -> None:
    given = new_keys()
    assert "\n" not in given
    keyring = Keyring(tmp_path, SecretStr(given))
    assert keyring.newest("url").kid == json.loads(given)["keys"][0]["kid"]
    assert new_keys() != given
