"""An episode whose data root lies in an object store: real models, one node after the other."""

import itertools
from collections.abc import Callable
from pathlib import Path

from support.main_job import artifact_bytes
from support.object_store import ObjectStore
from support.processed import Machine

from pipelines.episode import Job
from pipelines.harvest import harvest
from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode


def test_another_node_goes_on_and_ends_with_the_bytes_of_a_folder(
    node: Callable[[str], Path], store: ObjectStore, machine: Machine, processed: EpisodePaths,
    short_season: list[DemoEpisode],
) -> None:  # fmt: skip
    video = short_season[0].video
    here, there, reader = (EpisodePaths(node(n), processed.show, processed.episode) for n in "abc")
    with artifacts.locked(here):
        harvest(Job(video, here), machine.settings)
        read = list(itertools.islice(machine.read(here), 3))
    done = {here.chunk_marker(int(r["chunk"])).name for r in read}
    assert store.check_markers("root") == len(done) + 1

    store.requests.clear()
    with artifacts.locked(there):
        artifacts.pull(there, chunks=True)
        assert not [r for r in machine.read(there) if r["error"]]
        machine.stages(there)
    written = {p.split("?")[0].rsplit("/", 1)[-1] for m, p in store.requests if m == "PUT"}
    assert written
    assert not written & done
    theirs = artifact_bytes(processed.root)
    ours = {k: v for k, v in store.objects("root").items() if "/diagnostics/" not in k}
    assert ours.keys() == theirs.keys()
    assert [k for k in ours if ours[k] != theirs[k]] == []

    store.requests.clear()
    with artifacts.locked(reader):
        assert reader.totals_csv.read_bytes() == processed.totals_csv.read_bytes()
    got = [p for m, p in store.requests if m == "GET" and "list-type" not in p]
    assert got
    assert not [p for p in got if "/chunks/" in p or "/crops/" in p]
