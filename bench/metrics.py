"""What a scrape costs with so many episodes: `python bench/metrics.py [EPISODES]...`."""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from prometheus_client import CollectorRegistry, generate_latest

from screenalyzer.settings import Settings
from services.context import Services
from services.db.figures import EpisodeFigures, Finding
from services.db.migrate import upgrade
from services.db.models import Episode, Event, Job, Show, StageRun, Upload, User, Video, now
from services.jobs.plans import PLANS
from services.metrics import chains, occupied
from services.metrics.collector import ServiceCollector
from services.settings import ServiceSettings

_WAITING = 20  # jobs that have not begun


def furnish(services: Services, episodes: int) -> None:
    """An archive: of each episode a job that is done, a publication, an upload, a video and its figures."""
    moment = now()
    with services.database.write() as session:
        show = Show(name="s", title="s")
        session.add_all([show, User(name="u", name_key="u", role="admin")])
        session.flush()
        for n in range(episodes):
            done = n < episodes - _WAITING
            at = moment - timedelta(minutes=episodes - n)
            session.add(Video(sha256=f"{n:064d}", path=f"videos/{n}", size_bytes=10**9))
            session.flush()
            episode = Episode(show_id=show.id, name=f"e{n}", title="e", video_sha256=f"{n:064d}")
            session.add(episode)
            session.flush()
            for kind in ("process", "publish"):
                job = Job(kind=kind, state="done" if done else "queued", episode_id=episode.id, created_at=at)
                job.runs = [
                    StageRun(
                        position=p, stage=stage, queue=queue, state="done" if done else "ready", busy_s=9.0,
                        total_ms=2_700_000, eta_error=0.1, finished_at=at,
                    )
                    for p, (stage, queue) in enumerate(PLANS[kind])
                ]  # fmt: skip
                session.add(job)
                session.flush()
                session.add_all(Event(job_id=job.id, kind="stage-done") for _ in range(12))
                if not done:
                    break
            session.add(
                Upload(
                    length=1, file_name="f", show_id=show.id, episode_name="e", state="stored", expires_at=at
                )
            )
            session.add(
                EpisodeFigures(
                    episode_id=episode.id, frames=13_500, faces=30_000, tracks=900, clusters=30, actions=50,
                    low_conf_clusters=3, low_conf_tracks=20, reviewed_tracks=800, moved_tracks=9,
                    reviewed_at=at,
                )
            )  # fmt: skip
        counts = dict.fromkeys(chains.VERDICTS, 1)
        session.add(Finding(name=chains.NAME, data={"counts": counts, "all_lines": 1}))
        session.add(Finding(name=occupied.NAME, data={"videos": {"files": 1, "bytes": 1}}))


def main() -> None:
    """Measure on SQLite, in this process: SQL, and the text; Redis is away."""
    for episodes in map(int, sys.argv[1:] or ("1000", "10000")):
        with tempfile.TemporaryDirectory() as folder:
            settings = ServiceSettings(data_root=Path(folder), redis_url="redis://127.0.0.1:1/0")
            services = Services(settings, Settings())
            upgrade(services.database)
            furnish(services, episodes)
            registry = CollectorRegistry(auto_describe=False)
            registry.register(ServiceCollector(services))
            taken = []
            for _ in range(11):
                began = time.process_time(), time.perf_counter()
                text = generate_latest(registry)
                taken.append((time.process_time() - began[0], time.perf_counter() - began[1]))
            cpu, wall = (1000 * median(t) for t in zip(*taken, strict=True))
            print(f"{episodes} episodes: {cpu:.0f} ms of CPU, {wall:.0f} ms, {len(text) / 1024:.0f} KiB")
            services.database.close()


if __name__ == "__main__":
    main()
