"""How fast and how faithful is the face front end, and what do its distances mean?

usage: bench/faces.py [--video FILE] [--lfw FACES_DIR] [--device cpu]

Without arguments: detector and embedder against their originals (facenet-pytorch's detect, dlib's own
network), one thread, in one process, alternating, on 1280x720 pictures made from the package openpeople.
--video takes eight frames of a file instead. --lfw embeds folders of people (one folder a person) with `dlib`
and prints B-cubed F1 of average linkage over thresholds and quantiles of cosine distances, of single images
and of means of three.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import dlib
import facenet_pytorch
import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from screenalyzer.clustering.metrics import bcubed
from screenalyzer.faces.embedders import load_embedder
from screenalyzer.faces.mtcnn import MTCNN
from screenalyzer.faces.weights import DLIB_RESNET, dlib_file
from screenalyzer.settings import DetectSettings, EmbedSettings
from screenalyzer.types import Faces, Float32, Float64, Int64, UInt8
from screenalyzer.vectors import unit

QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
LIMITS = np.round(np.arange(0.03, 0.16, 0.01), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, help="take the frames from this file")
    parser.add_argument("--lfw", type=Path, help="folder of one folder a person")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.lfw:
        report_distances(args.lfw, args.device)
        return
    frames = video_frames(args.video) if args.video else made_frames()
    compare_detectors(frames, args.device)
    compare_embedders(frames, args.device)


def video_frames(path: Path, count: int = 8) -> UInt8:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = max(1, (stream.frames or 250) // count)
        decoded = enumerate(container.decode(stream))
        chosen = [f.to_ndarray(format="rgb24") for i, f in decoded if i % step == 0]
    return np.stack(chosen[:count])


def made_frames() -> UInt8:
    """Four frames of 1280x720 with up to six faces each."""
    spec = find_spec("openpeople")
    if spec is None or spec.origin is None:
        raise SystemExit("install the extra 'demo' (package openpeople), or give --video FILE")
    root = Path(spec.origin).parent / "data" / "curated"
    frames = []
    for person in ("P001", "P002", "P004", "P007"):
        sheet = cv2.imread(str(root / person / "assets" / "character_sheet.jpg"))[..., ::-1]
        frames.append(cv2.resize(sheet, (1280, 720), interpolation=cv2.INTER_AREA))
    return np.stack(frames)


def alternate(
    first: Callable[[], object], second: Callable[[], object], rounds: int = 5
) -> tuple[float, float]:
    """Best seconds of processor time of each, taken in turn so that a busy machine bothers both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    first()
    second()
    for _ in range(rounds):
        for run, taken in zip((first, second), times, strict=True):
            began = time.process_time()
            run()
            taken.append(time.process_time() - began)
    return min(times[0]), min(times[1])


def compare_detectors(frames: UInt8, device: str) -> None:
    cfg = DetectSettings(min_conf=0)
    smallest = max(12.0, cfg.min_face_px * min(frames.shape[1:3]) / 720)
    ours = MTCNN(cfg, device)
    original = facenet_pytorch.MTCNN(min_face_size=smallest, keep_all=True, device=torch.device(device))
    found = ours.detect(frames)
    missed = extra = 0
    differences = [(0.0, 0.0, 0.0)]
    for i, frame in enumerate(frames):
        boxes, conf, points = original.detect(frame, landmarks=True)
        here = np.flatnonzero(found.frame == i)
        wanted = np.zeros((0, 4)) if boxes is None else boxes.astype(float)
        overlap = ious(found.boxes[here], wanted)
        pairs = np.argwhere(overlap > 0.5).tolist()
        missed += len(wanted) - len({k for _, k in pairs})
        extra += len(here) - len({a for a, _ in pairs})
        for a, k in pairs:
            row = here[a]
            box = float(np.abs(found.boxes[row] - wanted[k]).max())
            point = float(np.abs(found.landmarks[row] - points[k]).max())
            differences.append((box, point, abs(float(found.conf[row]) - float(conf[k]))))
    box, point, sure = np.max(differences, axis=0)
    a, b = alternate(
        lambda: ours.detect(frames), lambda: [original.detect(f, landmarks=True) for f in frames]
    )
    each, size = 1e3 / len(frames), f"{frames.shape[2]}x{frames.shape[1]}"
    print(f"detector, {len(frames)} frames of {size}, smallest face {smallest:.0f} px:")
    print(f"  faces {len(found)}, missed {missed}, extra {extra}")
    print(f"  largest difference: box {box:.4f} px, landmark {point:.4f} px, confidence {sure:.1e}")
    print(f"  {a * each:.1f} ms a frame, original {b * each:.1f} ms: {b / a:.1f} times faster")


def ious(a: Float32, b: Float64) -> Float64:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0, None).prod(1) for x in (a, b)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9))


def compare_embedders(frames: UInt8, device: str) -> None:
    faces = MTCNN(DetectSettings(), device).detect(frames)
    ours = load_embedder(EmbedSettings(embedder="dlib"), device)
    ours.align(frames, faces)
    began = time.process_time()
    crops = ours.align(frames, faces)
    aligning = (time.process_time() - began) / max(1, len(faces))
    crops = crops[:8]
    original = dlib.face_recognition_model_v1(str(dlib_file(DLIB_RESNET)))

    def by_dlib() -> list[object]:
        both = [c for crop in crops for c in (crop, np.ascontiguousarray(crop[:, ::-1]))]
        return [original.compute_face_descriptor(c) for c in both]

    a, b = alternate(lambda: ours.embed(crops), by_dlib, rounds=2)
    each = 1e3 / len(crops)
    print(f"embedder dlib, {len(crops)} faces, each with its mirror image:")
    print(f"  {a * each:.1f} ms a face, dlib's own network {b * each:.1f} ms: {b / a:.1f} times faster")
    print(f"  alignment {1e3 * aligning:.1f} ms a face")


def embed_people(folder: Path, device: str) -> tuple[Int64, Float32]:
    """Person of each image and the vector of its middle face."""
    detector = MTCNN(DetectSettings(), device)
    embedder = load_embedder(EmbedSettings(embedder="dlib"), device)
    people, vectors, missed = [], [], 0
    for person, sub in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for path in sorted(sub.glob("*.jpg")):
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            found = detector.detect(image[None])
            if not len(found):
                missed += 1
                continue
            off = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - np.array(image.shape[1::-1]) / 2
            k = [int(np.linalg.norm(off, axis=1).argmin())]
            face = Faces(found.frame[k], found.boxes[k], found.conf[k], found.landmarks[k])
            people.append(person)
            vectors.append(embedder.embed(embedder.align(image[None], face))[0])
    print(f"{len(people)} faces of {len(set(people))} people; none found in {missed} images; {embedder.id}")
    return np.array(people), np.stack(vectors)


def report_distances(folder: Path, device: str) -> None:
    people, vectors = embed_people(folder, device)
    describe("single images", people, vectors)
    rng = np.random.default_rng(0)
    owner, means = [], []
    for person in np.unique(people):
        rows = rng.permutation(np.flatnonzero(people == person))
        for some in np.array_split(rows, max(1, len(rows) // 3)):
            owner.append(person)
            means.append(vectors[some].mean(0))
    describe("means of three images", np.array(owner), unit(np.stack(means)))


def describe(title: str, people: Int64, vectors: Float32) -> None:
    condensed = pdist(vectors.astype(np.float64), "cosine")
    upper = np.triu_indices(len(people), 1)
    same = people[upper[0]] == people[upper[1]]
    print(f"\n{title}: {len(people)}, cosine distance of unit vectors")
    print("  quantile   " + " ".join(f"{q:>7}" for q in QUANTILES))
    for name, some in (("same", condensed[same]), ("different", condensed[~same])):
        print(f"  {name:<10} " + " ".join(f"{x:7.4f}" for x in np.quantile(some, QUANTILES)))
    tree = linkage(condensed, "average")
    print("  average linkage, limit: B-cubed precision, recall, F1, groups")
    for limit in LIMITS:
        groups = fcluster(tree, limit, "distance")
        found = bcubed(people, groups)
        count = len(set(groups.tolist()))
        print(f"  {limit:.2f}: {found.precision:.4f} {found.recall:.4f} {found.f1:.4f} {count}")


if __name__ == "__main__":
    main()
