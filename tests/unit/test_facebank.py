from dataclasses import replace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from screenalyzer import facebank
from screenalyzer.errors import ArtifactError, EmbedderMismatchError, InputError
from screenalyzer.facebank import Face, Facebank
from screenalyzer.faces.dlib_embedder import DlibEmbedder
from screenalyzer.schemas import FACEBANK_EMBEDDINGS, FACEBANK_PEOPLE
from screenalyzer.types import EmbedderId, Faces

DLIB, FACENET = EmbedderId("dlib", 4, "a" * 64), EmbedderId("facenet", 6, "b" * 64)


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def face(seed: int, episode: str = "ep01", track: str = "t1") -> Face:
    vector = np.random.default_rng(seed).normal(size=4)
    return Face(
        episode, track, f"d{seed}", (vector / np.linalg.norm(vector)).astype(np.float32), picture(seed),
        np.array([16, 16, 48, 48], np.float32), np.full((5, 2), 32, np.float32),
    )  # fmt: skip


@pytest.fixture
def bank() -> Facebank:
    return Facebank(DLIB, {}).add("Ada", [face(1), face(2, "ep02", "t2")]).add("Bob", [face(3, track="t3")])


def same(a: Facebank, b: Facebank) -> bool:
    def plain(bank):
        return {
            n: [
                (f.episode, f.track_id, f.det_id, f.embedding.tobytes(), f.crop, f.crop_box.tobytes())
                for f in faces
            ]
            for n, faces in bank.people.items()
        }

    return a.embedder == b.embedder and plain(a) == plain(b)


def test_reads_back_what_was_saved(bank, tmp_path):
    bank.save(tmp_path)
    assert same(facebank.open_for(tmp_path, DLIB), bank)
    people = pq.read_table(tmp_path / "people.parquet")
    assert people.schema.names == FACEBANK_PEOPLE.names
    assert people.select(["name", "face_count"]).to_pylist() == [
        {"name": "Ada", "face_count": 2},
        {"name": "Bob", "face_count": 1},
    ]
    assert pq.read_schema(tmp_path / "embeddings.parquet").names == FACEBANK_EMBEDDINGS.names


def test_saving_the_same_gives_the_same_bytes(bank, tmp_path):
    bank.save(tmp_path / "a")
    Facebank(DLIB, {}).add("Bob", [face(3, track="t3")]).add("Ada", [face(2, "ep02", "t2"), face(1)]).save(
        tmp_path / "b"
    )
    for name in ("people.parquet", "embeddings.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_no_bank_is_an_empty_bank(tmp_path):
    assert facebank.load(tmp_path) is None
    assert facebank.open_for(tmp_path, DLIB) == Facebank(DLIB, {})


def test_adding_the_same_face_twice_keeps_one(bank):
    assert len(bank.add("Ada", [face(1)]).people["Ada"]) == 2


def test_gallery_holds_unit_vectors_by_name(bank):
    gallery = bank.add("Cyd", []).gallery()
    assert gallery.names == ("Ada", "Bob", "Cyd")
    assert gallery.person.tolist() == [0, 0, 1]
    assert gallery.episodes == (2, 1, 0)
    np.testing.assert_allclose(np.linalg.norm(gallery.vectors, axis=1), 1, atol=1e-6)
    nearest = gallery.distances(face(3).embedding[None])
    assert nearest.argmin() == 1
    assert np.isinf(nearest[0, 2])


def test_another_embedder_is_refused_with_the_way_out(bank, tmp_path):
    bank.save(tmp_path)
    with pytest.raises(EmbedderMismatchError, match=r"dlib-4-.*facenet-6-.*kept crops"):
        facebank.open_for(tmp_path, FACENET)
    with pytest.raises(EmbedderMismatchError, match="dlib"):
        bank.add("Ada", [replace(face(1), embedding=np.zeros(6, np.float32))])


def test_purging_a_person_leaves_no_byte(bank, tmp_path):
    bank.save(tmp_path)
    (tmp_path / ".people.parquet.999.tmp").write_bytes(b"Ada left by a killed writer")

    def traces() -> list[bool]:
        files = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        wanted = [
            b"Ada",
            facebank.person_id("Ada").encode()[:8],
            picture(1)[-200:-168],
            picture(2)[-200:-168],
        ]
        return [w in files for w in wanted]

    # Noise does not compress, so the pictures lie in the file as they are: the search can find them.
    assert all(traces())
    bank.remove_person("Ada").save(tmp_path)
    assert not any(traces())
    assert list(facebank.open_for(tmp_path, DLIB).people) == ["Bob"]


def test_purging_an_episode_takes_its_faces(bank):
    left = bank.remove_episode("ep01")
    assert {n: [f.det_id for f in faces] for n, faces in left.people.items()} == {"Ada": ["d2"]}


def test_taking_back_a_track(bank):
    assert [f.det_id for f in bank.remove_faces("Ada", ["t1"]).people["Ada"]] == ["d2"]
    assert bank.remove_faces("Nobody", ["t1"]) is bank


def test_renaming_onto_another_joins_them(bank):
    assert {f.det_id for f in bank.rename("Bob", "Ada").people["Ada"]} == {"d1", "d2", "d3"}
    with pytest.raises(InputError, match="name"):
        bank.rename("Bob", " ")


def test_a_kill_between_the_files_loses_nobody(bank, tmp_path):
    """People are written first: the bank then opens with the new person without faces, never the reverse."""
    bank.save(tmp_path)
    bigger = bank.add("Cyd", [face(9)])
    bigger._write_people(tmp_path, set())
    opened = facebank.open_for(tmp_path, DLIB)
    assert {n: len(f) for n, f in opened.people.items()} == {"Ada": 2, "Bob": 1, "Cyd": 0}


def test_damage_is_named(bank, tmp_path):
    bank.save(tmp_path)
    (tmp_path / "embeddings.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ArtifactError, match="embeddings"):
        facebank.load(tmp_path)


class Means:
    """An embedder of the mean colours of two regions: real arithmetic, and it sees what it is given."""

    id = FACENET

    def align(self, frames, faces: Faces):
        x1, y1, x2, y2 = faces.boxes[0].astype(int)
        return cv2.resize(frames[0, y1:y2, x1:x2], (8, 8))[None]

    def embed(self, crops):
        halves = np.concatenate([crops[:, :4].mean(axis=(1, 2)), crops[:, 4:].mean(axis=(1, 2))], axis=1)
        return (halves / np.linalg.norm(halves, axis=1, keepdims=True)).astype(np.float32)


def test_reembedding_reads_the_kept_crops(bank, tmp_path):
    renewed = facebank.reembed(bank.add("Cyd", []), Means())
    renewed.save(tmp_path)
    opened = facebank.open_for(tmp_path, FACENET)
    assert {n: len(f) for n, f in opened.people.items()} == {"Ada": 2, "Bob": 1, "Cyd": 0}
    decoded = cv2.imdecode(np.frombuffer(picture(3), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    crop = cv2.resize(decoded[16:48, 16:48], (8, 8))[None]
    np.testing.assert_allclose(opened.people["Bob"][0].embedding, Means().embed(crop)[0], atol=1e-6)


def test_reembedding_names_a_crop_that_is_no_picture(bank):
    broken = bank.add("Bob", [replace(face(7), crop=b"no")])
    with pytest.raises(ArtifactError, match=r"Bob.*ep01.*d7"):
        facebank.reembed(broken, Means())


def test_a_kept_crop_reads_as_the_frame_did(eval_dir):
    """The same embedder over the kept crop gives nearly the vector of the full frame."""
    from screenalyzer.faces.mtcnn import MTCNN  # noqa: PLC0415
    from screenalyzer.settings import DetectSettings  # noqa: PLC0415

    image = cv2.imread(str(sorted(eval_dir.glob("faces/*/*.jpg"))[0]))[:, :, ::-1]
    frame = np.ascontiguousarray(cv2.resize(image, (750, 750)))
    found = MTCNN(DetectSettings(), "cpu").detect(frame[None])
    one = Faces(found.frame[:1], found.boxes[:1], found.conf[:1], found.landmarks[:1])
    reader = DlibEmbedder("cpu")
    direct = reader.embed(reader.align(frame[None], one))[0]
    crop, box, landmarks = facebank.keep_face(frame, one.boxes[0], one.landmarks[0])
    kept = Face("ep01", "t1", "d1", direct, crop, box, landmarks)
    again = facebank.reembed(Facebank(reader.id, {"Ada": (kept,)}), reader).people["Ada"][0].embedding
    assert float(1 - direct @ again) < 0.01
