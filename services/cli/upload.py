"""`screenalyzer upload`: files to the service by the tus protocol, resumed wherever they were cut off."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from screenalyzer.errors import ServiceError
from services.access import private
from services.cli.client import Api, RefusedError, refusal
from services.cli.connected import talks
from services.cli.console import AsJson, err, out, say_error, say_json
from services.cli.jobs import follow

PART_BYTES: Final = 8 << 20  # the service's proxy holds a whole part in memory
_PATIENCE_S = 600.0  # without a byte that was taken
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_PASSING = {408, 409, 423, 425, 429, 460, 500, 502, 503, 504}  # of a part: ask how far it is, and go on
_GONE = {404, 410}


@talks
def upload(
    api: Api,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Videos.")
    ],
    show: Annotated[str, typer.Option(help="Title of the show they belong to.")],
    episode: Annotated[
        str | None, typer.Option(help="Title of the episode; else the file's name. For one file.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Discard an episode of the same name that has other content.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the episodes are processed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload episodes; each is processed as soon as it has arrived.

    Can be cut off at any time, on either side: the same command goes on where it was.
    """
    if episode is not None and len(files) > 1:
        raise typer.BadParameter("--episode names one episode; several files were given")
    _trust_for_requests(api)
    api.get("/v1/users/me")  # an address, a certificate or a login that is wrong is so for every file
    outcomes = []
    with _progress(as_json) as progress:
        for file in files:
            wish = {"filename": file.name, "show": show, "episode": episode or file.stem}
            if replace:
                wish["replace"] = "true"
            outcomes.append(_try(api, file, wish, progress))
    if wait:
        _await_jobs(api, outcomes, as_json)
    _report(outcomes, as_json)


def _try(api: Api, file: Path, wish: dict[str, str], progress: Progress) -> dict[str, Any]:
    """Upload one file; what goes wrong with it is its outcome."""
    line = progress.add_task(file.name, total=file.stat().st_size)
    transfer = Transfer(api, file, wish)
    outcome: dict[str, Any] = {"file": str(file), "upload_id": None, "job_id": None, "error": None}
    try:
        transfer.run(lambda offset: progress.update(line, completed=offset))
        found = api.get(f"/v1/uploads/{transfer.upload_id}")
    except (ServiceError, OSError) as e:
        return {**outcome, "upload_id": transfer.upload_id, "error": _of_file(file, str(e))}
    problem = found["problem"] and _of_file(file, found["problem"])
    return {**outcome, "upload_id": found["id"], "job_id": found["job_id"], "error": problem}


def _of_file(file: Path, text: str) -> str:
    return text if text.startswith(f"{file.name}:") else f"{file.name}: {text}"


class Transfer:
    """One file on its way to one service."""

    def __init__(self, api: Api, file: Path, wish: dict[str, str]) -> None:
        """Take the service, the file, and what it is to become: the upload's metadata."""
        from tusclient.client import TusClient  # noqa: PLC0415 - it loads another HTTP library

        self._api, self._file, self._wish = api, file.absolute(), wish
        self._client = TusClient(f"{api.url}/v1/uploads")
        self._known = _state_folder() / f"{self._key()}.json"
        self.upload_id: str | None = None

    def run(self, show: Callable[[int], None]) -> None:
        """Send what is missing.

        Args:
            show: is told how many bytes the service has.

        Raises:
            RefusedError: the service does not take it.
            ServiceError: it has not answered for long.
            OSError: the file cannot be read.
        """
        patience = _Patience()
        uploader: Any = None
        while True:
            try:
                self._bear_token()
                uploader = uploader or self._begin()
                show(uploader.offset)
                while uploader.offset < uploader.stop_at:
                    before = uploader.offset
                    self._bear_token()
                    uploader.upload_chunk()
                    patience.moved(uploader.offset - before)
                    show(uploader.offset)
            except _tus_errors() as e:
                self._weigh(e, patience, uploader)
                uploader = None
                continue
            self._known.unlink(missing_ok=True)
            return

    def _begin(self) -> Any:
        """A new upload, or the one of this file that was cut off, and how far it is."""
        from tusclient.storage.filestorage import FileStorage  # noqa: PLC0415 - as above

        private.make_folder(self._known.parent)
        storage: Any = FileStorage(str(self._known))  # type: ignore[no-untyped-call]  # tuspy has few types
        try:
            uploader: Any = self._client.uploader(
                str(self._file), chunk_size=PART_BYTES, metadata=self._wish, store_url=True,
                url_storage=storage, fingerprinter=self, upload_checksum=True,
            )  # fmt: skip
            if not uploader.url:
                self._client.headers["Idempotency-Key"] = hashlib.sha256(os.urandom(16)).hexdigest()
                try:
                    uploader.set_url(uploader.create_url())
                finally:
                    del self._client.headers["Idempotency-Key"]
                uploader.offset = 0
        finally:
            storage.close()
        uploader.store_url = False  # it is stored, and the storage is closed
        self.upload_id = str(uploader.url).rsplit("/", 1)[-1]
        return uploader

    def get_fingerprint(self, _stream: Any) -> str:
        """Under which the upload's address is stored; tuspy asks for it."""
        return "url"

    def _bear_token(self) -> None:
        self._client.set_headers({"Authorization": f"Bearer {self._api.access.token()}"})

    def _weigh(self, e: Any, patience: "_Patience", uploader: Any) -> None:
        """Wait where another attempt may go well.

        Raises:
            ServiceError: none will.
        """
        status, content = e.status_code, e.response_content or b""
        if status is None:
            patience.wait(ServiceError(f"the service at {self._api.url} does not answer"))
            return
        said = refusal(status, content)
        gone = status in _GONE and self._known.exists()  # expired, or ended: from the beginning
        if gone:
            self._known.unlink()
        expired = status == 401 and self._api.access.renew(self._api.access.token())
        # Where one is refused at its creation, 409 is about the episode's name.
        passing = status in _PASSING and (uploader is not None or status != 409)
        if not (gone or expired or passing):
            raise RefusedError(said.status, said.code, str(said)) from e
        patience.wait(said)

    def _key(self) -> str:
        """Tells apart what is not the same upload; a file that was written to since is another."""
        found = self._file.stat()
        parts = (self._api.url, str(self._file), found.st_size, found.st_mtime_ns, sorted(self._wish.items()))
        return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:32]


class _Patience:
    """Waits longer each time without progress, and gives up in the end."""

    def __init__(self) -> None:
        self.moved(1)

    def moved(self, taken: int) -> None:
        if taken > 0:
            self._deadline, self._pause_s = time.monotonic() + _PATIENCE_S, _FIRST_PAUSE_S

    def wait(self, why: ServiceError) -> None:
        if time.monotonic() + self._pause_s > self._deadline:
            raise why
        if self._pause_s == _FIRST_PAUSE_S:
            err.print(f"{str(why).rstrip('.')}. Trying again.", style="yellow", markup=False, soft_wrap=True)
        time.sleep(self._pause_s)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)


def _tus_errors() -> tuple[type[Exception], ...]:
    from tusclient.exceptions import TusCommunicationError, TusUploadFailed  # noqa: PLC0415 - as above

    return TusCommunicationError, TusUploadFailed


def _state_folder() -> Path:
    """Where the addresses of unfinished uploads are kept."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "screenalyzer" / "uploads"


def _trust_for_requests(api: Api) -> None:
    """Tell tuspy's HTTP library which certificate to trust; it hears only the environment."""
    if api.ca_cert:
        os.environ["REQUESTS_CA_BUNDLE"] = str(api.ca_cert)


def _progress(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(), console=err, disable=quiet or not err.is_terminal,
    )  # fmt: skip


def _await_jobs(api: Api, outcomes: list[dict[str, Any]], quiet: bool) -> None:
    begun = {o["job_id"]: o for o in outcomes if o["job_id"] and not o["error"]}
    names = {j: Path(o["file"]).name for j, o in begun.items()}
    for job in follow(api, list(begun), names, quiet):
        outcome = begun[job["id"]]
        outcome["job"] = job
        if job["state"] != "done":
            outcome["error"] = f"{names[job['id']]}: the job is {job['state']}. {job['error'] or ''}".strip()


def _report(outcomes: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say_json(outcomes)
    for o in outcomes:
        if o["error"]:
            say_error(o["error"])
        elif not as_json:
            what = "processed" if "job" in o else f"uploaded, job {o['job_id']}"
            out.print(f"{Path(o['file']).name}: {what}", markup=False, soft_wrap=True)
    if any(o["error"] for o in outcomes):
        raise typer.Exit(1)
