"""The example of a reverse proxy is one that nginx takes."""

import subprocess
from pathlib import Path

from support.certificates import self_signed
from support.programs import program

_EXAMPLE = Path(__file__).resolve().parents[2] / "infra" / "reverse-proxy" / "nginx.conf"


def test_nginx_takes_the_example(tmp_path: Path) -> None:
    nginx = program("nginx")
    cert, key = self_signed(tmp_path)
    text = _EXAMPLE.read_text()
    for there, here in (
        ("/etc/nginx/tls/fullchain.pem", cert), ("/etc/nginx/tls/privkey.pem", key),
        ("/var/log/nginx/screenalyzer.log", tmp_path / "log"),
    ):  # fmt: skip
        assert there in text
        text = text.replace(there, str(here))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path / kind};\n" for kind in kinds)
    text = text.replace("\nhttp {\n", f"\nhttp {{\naccess_log {tmp_path / 'access'};\n{folders}")
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid {tmp_path / 'pid'};\nerror_log {tmp_path / 'errors'};\n{text}")
    done = subprocess.run(
        [nginx, "-t", "-c", conf, "-p", tmp_path, "-g", "daemon off;"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
