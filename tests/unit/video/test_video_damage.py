from collections.abc import Callable
from pathlib import Path

import pytest
from support.clips import ClipSpec, counted, make_clip, read_counter

from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.video.plan import plan
from screenalyzer.video.probe import probe
from screenalyzer.video.read import Damage, Sample, read_segment

Hurt = Callable[[bytearray], None]
CFG = VideoSettings(chunk_s=2, sample_fps=60)


def zeros(data: bytearray) -> None:
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)


def flips(data: bytearray) -> None:
    middle = len(data) // 2
    for at in range(middle, middle + 3000, 5):
        data[at] ^= 0x5A


def removed(data: bytearray) -> None:
    middle = len(data) // 2 // 188 * 188
    del data[middle : middle + 188 * 60]


def read(path: Path) -> tuple[list[int], list[int], list[Damage]]:
    """Times and numbers of the pictures, and the damage."""
    info = probe(path)
    times, numbers, damage = [], [], []
    for segment in plan(info, CFG):
        for item in read_segment(path, info, segment, CFG, ShotSettings(), ()):
            if isinstance(item, Sample):
                times.append(item.ts_ms)
                numbers.append(read_counter(item.rgb))
            else:
                damage += item.damage
    return times, numbers, damage


@pytest.mark.parametrize(
    ("name", "codec", "hurt"),
    [
        ("a.mp4", "libx264", zeros),
        ("a.mp4", "libx264", flips),
        ("a.mkv", "libx264", zeros),
        ("a.mkv", "libx264", flips),
        ("a.ts", "libx264", zeros),
        ("a.ts", "libx264", flips),
        ("a.ts", "libx264", removed),
        ("h.ts", "libx265", zeros),
        ("h.mp4", "libx265", zeros),
        ("m.ts", "mpeg2video", zeros),
        ("v.webm", "libvpx-vp9", zeros),
    ],
)
def test_damage_in_the_middle_is_reported_and_the_rest_is_read(
    tmp_path: Path, name: str, codec: str, hurt: Hurt
) -> None:
    path = make_clip(tmp_path / name, counted(150), ClipSpec(codec=codec))
    start = read(path)[0][0]
    data = bytearray(path.read_bytes())
    hurt(data)
    path.write_bytes(bytes(data))
    times, numbers, damage = read(path)
    assert damage
    assert all(d.start_ms < d.end_ms for d in damage)
    # Every picture outside the reported damage is the right one at the right time.
    fine = [
        (t, n)
        for t, n in zip(times, numbers, strict=True)
        if not any(d.start_ms <= t < d.end_ms for d in damage)
    ]
    assert all(t == start + n * 40 for t, n in fine)
    # Every frame that is neither there nor right is reported.
    bad = set(range(150)) - {n for _, n in fine}
    assert all(any(d.start_ms <= start + n * 40 < d.end_ms for d in damage) for n in bad)
    # The damage is where it was done, and no wider than it has to be: the keyframes are a second apart.
    assert min(d.start_ms for d in damage) - start > 1400
    # A time stamp that was hit makes the container seem longer; beyond the end nothing is reported as there.
    end = start + 150 * 40
    assert sum(min(d.end_ms, end) - min(d.start_ms, end) for d in damage) <= 3200


def test_a_lost_tail_is_reported(tmp_path: Path) -> None:
    """The last second's packets hold nothing that decodes."""
    path = make_clip(tmp_path / "t.mp4", counted(100), ClipSpec(container_options={"movflags": "+faststart"}))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at + (len(data) - at) * 4 // 5 :] = b"\xff" * (len(data) - at - (len(data) - at) * 4 // 5)
    path.write_bytes(bytes(data))
    times, _, damage = read(path)
    assert len(times) < 100
    assert max(d.end_ms for d in damage) == 4000


def test_a_chunk_without_a_picture_is_reported_whole_and_the_next_is_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "c.mp4", counted(200), ClipSpec(gop=50))
    info = probe(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    body = data.index(b"moov") - 4 - at
    data[at + body * 22 // 100 : at + body * 53 // 100] = b"\xff" * (body * 53 // 100 - body * 22 // 100)
    path.write_bytes(bytes(data))
    times, numbers, damage = read(path)
    assert sum(d.end_ms - d.start_ms for d in damage) >= 2000
    assert numbers[-50:] == list(range(150, 200))
    assert times[-1] == 199 * 40
    assert len(plan(info, CFG)) == 4
