"""How well are faces grouped, and how fast? Measured on Labeled Faces in the Wild, with thresholds.

usage: bench/clustering.py FACES_DIR [--embedder dlib] [--cache FILE.npz]

FACES_DIR holds one folder a person with their images. Each image is read whole and once more shrunk to a face
of 36 to 56 pixels with noise. Episodes are simulated: a cast, and tracks of one to six images of one person.
Prints the fitted logistic, B-cubed F1 over limits, the limit cross-validated by people, open-set
identification, what the shipped calibration reaches, and the time for 2,000 synthetic tracks.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from screenalyzer.clustering.agglomerate import Limit, agglomerate
from screenalyzer.clustering.calibration import Calibration, calibration_of, fit_logistic
from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.distances import cosine_to
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.metrics import bcubed, wcp
from screenalyzer.clustering.templates import template_distances
from screenalyzer.faces.embedders import load_embedder
from screenalyzer.faces.mtcnn import MTCNN
from screenalyzer.settings import ClusterSettings, DetectSettings, EmbedSettings
from screenalyzer.types import Constraints, EmbedderId, Faces, Float32, Int64, Observations, Track, UInt8
from screenalyzer.vectors import unit

LIMITS = np.round(np.arange(0.5, 1.5, 0.05), 2)  # of the logistic's midpoint
CASTS = (5, 10, 20, 40)


def embed_people(folder: Path, embedder: str) -> tuple[Int64, Float32, Float32, EmbedderId]:
    """Person of each image, and its vectors whole and small."""
    detector, reader = MTCNN(DetectSettings(), "cpu"), load_embedder(EmbedSettings(embedder=embedder), "cpu")
    rng = np.random.default_rng(0)
    people, whole, small = [], [], []
    for person, sub in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for path in sorted(sub.glob("*.jpg")):
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            found = detector.detect(image[None])
            if not len(found):
                continue
            middle = np.array(image.shape[1::-1]) / 2
            off = np.linalg.norm((found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - middle, axis=1)
            k = slice(int(off.argmin()), int(off.argmin()) + 1)
            face = Faces(found.frame[k], found.boxes[k], found.conf[k], found.landmarks[k])
            crops = [reader.align(f[None], face) for f in (image, shrunk(image, face.boxes[0], rng))]
            vectors = reader.embed(np.concatenate(crops))
            people.append(person)
            whole.append(vectors[0])
            small.append(vectors[1])
    return np.array(people), np.array(whole), np.array(small), reader.id


def shrunk(image: UInt8, box: Float32, rng: np.random.Generator) -> UInt8:
    """The image as if its face were 36 to 56 pixels wide, noisy and sometimes blurred."""
    factor = rng.uniform(36, 56) / max(float(box[2] - box[0]), 1.0)
    little = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    little = np.clip(little + rng.normal(0, 4, little.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        little = cv2.GaussianBlur(little, (0, 0), 1.0)
    return cv2.resize(little, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def episode(
    people: Int64, whole: Float32, small: Float32, cast: Int64, rng: np.random.Generator
) -> tuple[list[Track], Observations, Int64]:
    """Tracks of one to six images of the cast, four in ten of them small, and who they are."""
    rows: list[Float32] = []
    quality: list[float] = []
    groups, truth = [], []
    for person in cast:
        own = rng.permutation(np.flatnonzero(people == person))
        while len(own):
            take, own = np.split(own, [int(rng.integers(1, 7))])
            poor = rng.random() < 0.4
            groups.append(np.arange(len(rows), len(rows) + len(take)))
            rows.extend((small if poor else whole)[take])
            quality.extend([0.35 if poor else 0.8] * len(take))
            truth.append(person)
    n = len(rows)
    ts = np.arange(n, dtype=np.int64) * 200
    obs = Observations(
        np.array([f"d{i:06d}" for i in range(n)]), np.arange(n), ts, np.zeros(n, np.int32),
        np.tile(np.array([0, 0, 100, 100], np.float32), (n, 1)), np.full(n, 0.99, np.float32),
        np.zeros((n, 5, 2), np.float32), np.array(quality, np.float32), np.array(rows, np.float32),
    )  # fmt: skip
    tracks = [
        Track(f"t{g[0]:06d}", 0, int(ts[g[0]]), int(ts[g[-1]]) + 200, g, 1.0, 0.99, False) for g in groups
    ]
    return tracks, obs, np.array(truth)


def labels_of(tracks: list[Track], clustering: object) -> Int64:
    where = {m.track_id: k for k, c in enumerate(clustering.clusters) for m in c.members}  # type: ignore[attr-defined]
    return np.array([where[t.track_id] for t in tracks])


def f_by_limit(
    data: tuple[Int64, Float32, Float32], pool: Int64, limits: np.ndarray, seed: int
) -> np.ndarray:
    """Mean F1 of plain agglomeration at each limit, over casts from a pool of people."""
    scores = []
    for cast_size in (c for c in CASTS if c <= len(pool)):
        for repeat in range(3):
            rng = np.random.default_rng([seed, cast_size, repeat])
            tracks, obs, truth = episode(*data, rng.choice(pool, cast_size, replace=False), rng)
            vectors = np.stack([obs.embeddings[t.members].mean(axis=0) for t in tracks])
            d = template_distances(vectors, "cpu")
            free, equal = np.zeros(d.shape, bool), np.ones(len(d))
            scores.append([bcubed(truth, agglomerate(d, equal, free, Limit(limit))).f1 for limit in limits])
    return np.mean(scores, axis=0)


def cross_validate(data: tuple[Int64, Float32, Float32], limits: np.ndarray, folds: int = 4) -> None:
    order = np.random.default_rng(1).permutation(np.unique(data[0]))
    for fold in range(folds):
        test = order[fold::folds]
        train = np.setdiff1d(order, test)
        best = limits[f_by_limit(data, train, limits, fold).argmax()]
        f = f_by_limit(data, test, np.array([best]), fold)[0]
        print(
            f"  fold {fold}: limit {best:.4f} from {len(train)} people gives F1 {f:.4f} on {len(test)} others"
        )


def shipped(data: tuple[Int64, Float32, Float32], metric: Calibration) -> None:
    """What `cluster` reaches as it is shipped."""
    pool = np.unique(data[0])
    for cast_size in (*CASTS, len(pool)):
        found = []
        for repeat in range(10 if cast_size < len(pool) else 3):
            rng = np.random.default_rng([7, cast_size, repeat])
            tracks, obs, truth = episode(*data, rng.choice(pool, cast_size, replace=False), rng)
            label = labels_of(tracks, cluster(tracks, obs, Constraints(), None, ClusterSettings(), metric))
            found.append([*bcubed(truth, label), wcp(truth, label), len(set(label)) - cast_size])
        p, r, f, purity, extra = np.mean(found, axis=0)
        print(
            f"  cast {cast_size}: P {p:.4f} R {r:.4f} F1 {f:.4f} WCP {purity:.4f}, {extra:+.1f} clusters",
        )


def identification(data: tuple[Int64, Float32, Float32], metric: Calibration) -> None:
    """Open set: half of a cast is in the gallery with five images each, half are strangers."""
    people, whole, small = data
    pool = np.unique(people)
    print("  limit: right, wrong, strangers named")
    for limit in np.round(np.linspace(0.6, 1.1, 11) * metric.midpoint, 4):
        right = wrong = missed = strangers = false = 0
        for repeat in range(8):
            rng = np.random.default_rng([11, repeat])
            cast = rng.choice(pool, 30, replace=False)
            kept, probes = [], []
            for i, person in enumerate(cast):
                own = rng.permutation(np.flatnonzero(people == person))
                kept.extend([(i, k) for k in own[:5]] if i < 15 else [])
                probes.extend([(i, k) for k in own[5:]])
            who = np.array([i for i, _ in kept])
            gallery = Gallery(tuple(str(i) for i in range(15)), who, whole[[k for _, k in kept]])
            look = np.where(
                rng.random(len(probes))[:, None] < 0.4, *[v[[k for _, k in probes]] for v in (small, whole)]
            )
            d = gallery.distances(look)
            ranked = np.sort(d, axis=1)
            sure = (ranked[:, 0] <= limit) & (ranked[:, 1] - ranked[:, 0] >= metric.margin)
            true = np.array([i for i, _ in probes])
            known, named = true < 15, d.argmin(axis=1)
            right += int((known & sure & (named == true)).sum())
            wrong += int((known & sure & (named != true)).sum())
            missed += int((known & ~sure).sum())
            strangers += int((~known).sum())
            false += int((~known & sure).sum())
        total = right + wrong + missed
        print(f"  {limit}: {right / total:.4f}, {wrong / total:.4f}, {false / strangers:.4f}")


def speed(metric: Calibration, n: int = 2000, dim: int = 128) -> None:
    rng = np.random.default_rng(3)
    centres = unit(rng.normal(size=(40, dim)))
    who = rng.integers(0, 40, n)
    vectors = unit(
        centres[who].repeat(10, axis=0) + rng.normal(scale=0.02, size=(n * 10, dim)).astype(np.float32)
    )
    members = np.arange(n * 10).reshape(n, 10)
    ts = (np.arange(n * 10) // 2 * 200).astype(np.int64)
    obs = Observations(
        np.array([f"d{i:06d}" for i in range(n * 10)]), np.arange(n * 10), ts, np.zeros(n * 10, np.int32),
        np.zeros((n * 10, 4), np.float32), np.full(n * 10, 0.99, np.float32),
        np.zeros((n * 10, 5, 2), np.float32), np.full(n * 10, 0.7, np.float32), vectors,
    )  # fmt: skip
    tracks = [
        Track(f"t{i:05d}", 0, int(ts[m[0]]), int(ts[m[-1]]) + 200, m, 1.0, 0.99, False)
        for i, m in enumerate(members)
    ]
    start = time.perf_counter()
    cluster(tracks, obs, Constraints(), None, ClusterSettings(), metric)
    print(f"{n} tracks of 10 detections: {time.perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", type=Path)
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--cache", type=Path, help="keep the vectors here between runs")
    args = parser.parse_args()
    if args.cache and args.cache.exists():
        z = np.load(args.cache)
        people, whole, small = z["people"], z["whole"], z["small"]
        reader = EmbedderId(args.embedder, whole.shape[1], str(z["sha"]))
    else:
        people, whole, small, reader = embed_people(args.faces, args.embedder)
        if args.cache:
            np.savez(args.cache, people=people, whole=whole, small=small, sha=reader.weights_sha256)
    metric, data = calibration_of(reader), (people, whole, small)
    mixed = np.concatenate([whole, small])
    who, image = np.tile(people, 2), np.tile(np.arange(len(people)), 2)
    d = cosine_to(mixed, mixed)
    same = who[:, None] == who[None, :]
    slope, midpoint = fit_logistic(d[same & (image[:, None] != image[None, :])], d[~same])
    print(f"{len(people)} images of {len(np.unique(people))} people, {reader}")
    print(f"logistic: slope {slope:.1f}, midpoint {midpoint:.4f}; shipped {metric.slope}, {metric.midpoint}")
    limits = LIMITS * midpoint
    print(
        "F1 by limit:",
        dict(
            zip(
                limits.round(4).tolist(),
                f_by_limit(data, np.unique(people), limits, 0).round(4).tolist(),
                strict=True,
            )
        ),
    )
    print("limit chosen on some people, tried on others:")
    cross_validate(data, limits)
    print(f"as shipped, link {metric.link}:")
    shipped(data, metric)
    print(f"open-set identification, shipped limit {metric.identify}, margin {metric.margin}:")
    identification(data, metric)
    speed(metric)


if __name__ == "__main__":
    main()
