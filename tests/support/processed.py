"""The main job without a cluster: the same stages in their order, with the models in this process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support.local_faces import LocalFaceClient

from pipelines.episode import Job, load_source
from pipelines.harvest import harvest, harvest_fingerprint
from pipelines.inference import ReadSegment, chunks_done
from pipelines.stage import run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.faces.dlib_embedder import DlibEmbedder
from screenalyzer.faces.mtcnn import MTCNN
from screenalyzer.settings import Settings
from screenalyzer.video.plan import plan


@dataclass
class Machine:
    """Models and settings that episodes are processed with.

    Attributes:
        settings: of the run.
        detector: the real one.
        embedder: the real one.
        reported: milliseconds of video that the reader reported, by episode.
        batches: how many batches the models were sent.
    """

    settings: Settings
    detector: MTCNN
    embedder: DlibEmbedder
    reported: dict[str, int] = field(default_factory=dict)
    batches: int = 0

    def read(
        self, paths: EpisodePaths, settings: Settings | None = None, again: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Read the segments that still miss a chunk, or all of them; yields the rows that the stream sees."""
        cfg = settings or self.settings
        clients: list[LocalFaceClient] = []

        def connect() -> LocalFaceClient:
            clients.append(LocalFaceClient(self.detector, self.embedder))
            return clients[-1]

        reader = ReadSegment(paths.root, cfg, self.embedder.id, connect, self._report)
        info = load_source(paths)
        for number, segment in enumerate(plan(info, cfg.video)):
            wanted = {c.index for c in segment.chunks}
            if not again and wanted <= chunks_done(paths, segment, cfg, self.embedder.id):
                continue
            batch = {"show": [paths.show], "episode": [paths.episode], "segment": [number]}
            for columns in reader({k: np.array(v) for k, v in batch.items()}):
                yield {k: v[0].item() for k, v in columns.items()}
        self.batches += sum(c.batches for c in clients)

    def stages(self, paths: EpisodePaths, settings: Settings | None = None) -> list[str]:
        """Run what must run of the stages after reading; returns the names of those that did."""
        cfg = settings or self.settings
        upstream = self.upstream(paths, cfg)
        ran = []
        for stage in STAGES:
            done = artifacts.is_done(paths.marker(stage.name), stage.fingerprint(paths, cfg, upstream))
            upstream = run_stage(stage, paths, cfg, upstream)
            ran += [] if done else [stage.name]
        return ran

    def upstream(self, paths: EpisodePaths, settings: Settings) -> str:
        """What the first stage is made from."""
        made_from = harvest_fingerprint(load_source(paths), settings)
        return artifacts.fingerprint(made_from, str(self.embedder.id))

    def process(self, video: Path, paths: EpisodePaths, settings: Settings | None = None) -> list[str]:
        """All of it; returns the names of the stages that ran."""
        cfg = settings or self.settings
        harvest(Job(video, paths), cfg)
        for row in self.read(paths, cfg):
            assert not row["error"], row["error"]
        return self.stages(paths, cfg)

    def _report(self, key: str, ms: int) -> None:
        self.reported[key] = self.reported.get(key, 0) + ms
