"""A real S3 server on loopback for tests: moto behind a port of its own, which can be away, or watched.

The server lives in this process, so a test can take it away and bring it back with what it holds, and can do
something just before or after any write arrives.
"""

import hashlib
import json
import os
import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "screenalyzer"
_WRITES = frozenset({"PUT", "POST", "DELETE"})
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

Watch = Callable[[str, str, str], None]  # method, path, and `before` or `after`


class _Mute(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_request(self, *_: object) -> None:
        """Nothing."""


class ObjectStore:
    """The server.

    Attributes:
        requests: of everything that has come: method and path.
        watch: told of each write before and after it is done.
        watch_reads: told of each object that is read.
    """

    def __init__(self) -> None:
        """Start it on a free port with an empty bucket."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self.requests: list[tuple[str, str]] = []
        self.watch: Watch | None = None
        self.watch_reads: Callable[[str], None] | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process finds it."""
        return {**_KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}"}

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Mute
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded kind
        self._server.block_on_close = False  # type: ignore[attr-defined]  # likewise
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; what it holds stays."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Do not answer for the time of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def client(self) -> Any:
        """A client of another make than the one under test."""
        return boto3.client(
            "s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def keys(self, prefix: str = "") -> set[str]:
        """Keys below a prefix, from there; locks are left out."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        found = {row["Key"].removeprefix(f"{prefix}/") for page in pages for row in page.get("Contents", ())}
        return {k for k in found if not k.startswith("leases/")}

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Everything below a prefix, by key from there; locks are left out."""
        client = self.client
        read = lambda key: client.get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read()  # noqa: E731
        return {key: read(key) for key in self.keys(prefix)}

    def check_markers(self, prefix: str = "") -> int:
        """Fail where a marker vouches for what is not there as it says; returns how many there are."""
        objects, count = self.objects(prefix), 0
        for key, data in objects.items():
            if "/stages/" not in key and "/done-" not in key:
                continue
            count += 1
            for place, digest in json.loads(data)["outputs"].items():
                output = posixpath.normpath(posixpath.join(posixpath.dirname(key), place))
                assert output in objects, (key, output)
                assert hashlib.sha256(objects[output]).hexdigest() == digest, (key, output)
        return count

    def clear(self) -> None:
        """Hold nothing but an empty bucket."""
        self.watch = self.watch_reads = None
        client = self.client
        names = [b["Name"] for b in client.list_buckets()["Buckets"]]
        for name in names:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                rows = [{"Key": row["Key"]} for row in page.get("Contents", ())]
                if rows:
                    client.delete_objects(Bucket=name, Delete={"Objects": rows})
        if BUCKET not in names:
            client.create_bucket(Bucket=BUCKET)
        self.requests.clear()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, f"{path}?{environ.get('QUERY_STRING', '')}"))
        if self.watch_reads and method == "GET" and "list-type" not in environ.get("QUERY_STRING", ""):
            self.watch_reads(path)
        watch = self.watch if method in _WRITES else None
        if watch:
            watch(method, path, "before")
        answer = list(self._app(environ, start_response))
        if watch:
            watch(method, path, "after")
        return answer


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server for the time of the block, which this process and its children find by the environment."""
    store = ObjectStore()
    before = {k: os.environ.get(k) for k in store.environment}
    os.environ.update(store.environment)
    try:
        store.clear()
        yield store
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        store.stop()
