import numpy as np
import pytest
from cluster_worlds import METRIC, episode, face_of
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import Clustering
from screenalyzer.errors import ConstraintError, EmbedderMismatchError
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Constraints
from screenalyzer.vectors import unit

CFG = ClusterSettings(backend="cpu")
T = [f"t{i:03d}" for i in range(20)]


def run(tracks, obs, constraints=None, gallery=None) -> Clustering:
    return cluster(tracks, obs, constraints or Constraints(), gallery, CFG, METRIC)


def parts(found: Clustering) -> list[list[str]]:
    return [[m.track_id for m in c.members] for c in found.clusters]


def gallery_of(*people: tuple[str, int]) -> Gallery:
    people = tuple(sorted(people))
    vectors = np.concatenate([[face_of(p)] * 3 for _, p in people])
    noise = np.random.default_rng(2).normal(scale=0.02, size=vectors.shape)
    who = np.repeat(np.arange(len(people)), 3)
    return Gallery(tuple(n for n, _ in people), who, unit(vectors + noise))


def test_people_are_grouped_and_described():
    tracks, obs = episode([1, 2, 1, 3, 2])
    found = run(tracks, obs)
    assert parts(found) == [["t000", "t002"], ["t001", "t004"], ["t003"]]
    for c in found.clusters:
        assert c.name is None
        assert not c.low_conf
        assert 0 < c.intra_variance < 0.1
        assert c.rep_det_id in {str(d) for t in tracks for d in obs.det_id[t.members]}
        assert all(m.score > 0.9 for m in c.members)


def test_seen_together_is_never_one_person_however_alike():
    tracks, obs = episode([1, 1, 1], together=[(0, 1)])
    found = parts(run(tracks, obs))
    assert not any({"t000", "t001"} <= set(p) for p in found)
    assert len(found) == 2


def test_people_win_over_the_picture():
    tracks, obs = episode([1, 1], together=[(0, 1)])
    assert parts(run(tracks, obs, Constraints(must_link=frozenset({(T[0], T[1])})))) == [["t000", "t001"]]


def test_labels_join_strangers_and_name_them():
    tracks, obs = episode([1, 2, 1])
    found = run(tracks, obs, Constraints(labels={T[0]: "Ada", T[1]: "Ada"}))
    assert parts(found) == [["t000", "t001", "t002"]]
    assert (found.clusters[0].name, found.clusters[0].named_by) == ("Ada", "person")
    assert {m.track_id: m.score for m in found.clusters[0].members}["t000"] == 1.0


def test_not_a_face_is_in_no_cluster():
    tracks, obs = episode([1, 1, 2])
    found = run(tracks, obs, Constraints(not_faces=frozenset({T[1]})))
    assert parts(found) == [["t000"], ["t002"]]
    assert found.not_faces == ("t001",)


def test_a_track_that_is_gone_is_reported_and_still_links():
    tracks, obs = episode([1, 2])
    gone = Constraints(must_link=frozenset({(T[0], "gone"), ("gone", T[1])}))
    found = run(tracks, obs, gone)
    assert parts(found) == [["t000", "t001"]]
    assert found.unapplied == ("gone",)


@pytest.mark.parametrize(
    "constraints",
    [
        Constraints(must_link=frozenset({(T[0], T[1])}), cannot_link=frozenset({(T[1], T[0])})),
        Constraints(must_link=frozenset({(T[0], T[2]), (T[2], T[1])}), cannot_link=frozenset({(T[0], T[1])})),
        Constraints(must_link=frozenset({(T[0], T[1])}), labels={T[0]: "Ada", T[1]: "Bob"}),
        Constraints(labels={T[0]: "Ada", T[1]: "Ada"}, cannot_link=frozenset({(T[0], T[1])})),
        Constraints(
            must_link=frozenset({(T[0], T[1])}), labels={T[0]: "Ada"}, not_named=frozenset({(T[1], "Ada")})
        ),
    ],
)
def test_contradictions_are_named(constraints):
    tracks, obs = episode([1, 1, 1])
    with pytest.raises(ConstraintError, match=r"t00[01]"):
        run(tracks, obs, constraints)


def test_a_label_on_what_is_no_face_contradicts():
    tracks, obs = episode([1])
    with pytest.raises(ConstraintError, match="t000"):
        run(tracks, obs, Constraints(labels={T[0]: "Ada"}, not_faces=frozenset({T[0]})))


def test_the_facebank_names_who_it_knows_and_nobody_else():
    tracks, obs = episode([1, 2, 3, 1])
    found = run(tracks, obs, gallery=gallery_of(("Ada", 1), ("Bob", 2), ("Zoe", 9)))
    assert [(c.name, len(c.members)) for c in found.clusters] == [("Ada", 2), ("Bob", 1), (None, 1)]
    assert found.clusters[0].named_by == "facebank"


def test_two_at_once_are_not_both_the_same_named_person():
    tracks, obs = episode([1, 1], together=[(0, 1)])
    found = run(tracks, obs, gallery=gallery_of(("Ada", 1)))
    assert sorted(c.name or "" for c in found.clusters) == ["", "Ada"]


def test_who_a_person_said_it_is_not_stays_unnamed():
    tracks, obs = episode([1, 1])
    ruled_out = Constraints(not_named=frozenset({(T[0], "Ada")}))
    found = run(tracks, obs, ruled_out, gallery_of(("Ada", 1)))
    assert {c.members[0].track_id: c.name for c in found.clusters} == {"t000": None, "t001": "Ada"}


def test_another_look_of_a_named_person_is_joined():
    """Ada is two faces to the embedder; a third track like either is hers."""
    tracks, obs = episode([1, 2, 2, 3])
    found = run(tracks, obs, Constraints(must_link=frozenset({(T[0], T[1])})))
    assert parts(found) == [["t000", "t001", "t002"], ["t003"]]


def test_a_label_wins_over_the_facebank():
    tracks, obs = episode([1, 1])
    found = run(tracks, obs, Constraints(labels={T[0]: "Bob"}), gallery_of(("Ada", 1), ("Bob", 2)))
    assert {m.track_id: c.name for c in found.clusters for m in c.members}["t000"] == "Bob"


def test_a_gallery_of_another_embedder_is_refused():
    tracks, obs = episode([1])
    other = Gallery(("Ada",), np.zeros(1, np.int64), np.ones((1, 512), np.float32))
    with pytest.raises(EmbedderMismatchError, match="512"):
        run(tracks, obs, gallery=other)


def test_a_poor_stray_joins_the_one_person_near_it():
    near = (face_of(1) + 0.39 * face_of(7)).astype(np.float32)
    tracks, obs = episode([1, 1, 1, 2, 2], quality=[0.8, 0.8, 0.1, 0.8, 0.8])
    obs.embeddings[tracks[2].members] = near / np.linalg.norm(near)
    distance = 1 - float(unit(near) @ obs.embeddings[tracks[0].members].mean(axis=0))
    assert METRIC.link < distance < METRIC.attach
    assert parts(run(tracks, obs)) == [["t000", "t001", "t002"], ["t003", "t004"]]
    obs.quality[tracks[2].members] = 0.9
    assert ["t002"] in parts(run(tracks, obs))


def test_junk_is_flagged_and_true_people_are_not():
    tracks, obs = episode(
        [1, 2, 3, 4], detections=1, quality=[0.05, 0.8, 0.05, 0.3], conf=[0.91, 0.91, 0.9995, 0.999]
    )
    left_out = [c.leave_out for c in run(tracks, obs).clusters]
    assert left_out == [True, False, False, False]


def test_nothing_gives_nothing():
    tracks, obs = episode([])
    assert run(tracks, obs).clusters == ()


pairs = st.frozensets(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] < p[1]), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(
    people=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    seen=pairs,
    apart=pairs,
    joined=pairs,
    named=st.dictionaries(st.integers(0, 7), st.sampled_from(["Ada", "Bob"]), max_size=3),
    gone=st.frozensets(st.integers(0, 7), max_size=2),
    order=st.permutations(range(8)),
    known=st.booleans(),
)
def test_invariants(people, seen, apart, joined, named, gone, order, known):  # noqa: PLR0913, PLR0917
    tracks, obs = episode(people, together=sorted(seen), detections=3)
    constraints = Constraints(
        must_link=frozenset((T[a], T[b]) for a, b in joined),
        cannot_link=frozenset((T[a], T[b]) for a, b in apart),
        labels={T[i]: n for i, n in named.items()},
        not_faces=frozenset(T[i] for i in gone),
    )
    gallery = gallery_of(("Ada", 0), ("Cyd", 2)) if known else None
    try:
        found = run(tracks, obs, constraints, gallery)
    except ConstraintError:
        return
    assert found == run([tracks[i] for i in order], obs, constraints, gallery)
    where = {m.track_id: c for c in found.clusters for m in c.members}
    assert sum(len(c.members) for c in found.clusters) == len(where)
    assert set(where) | set(found.not_faces) == {t.track_id for t in tracks}
    assert set(found.not_faces) == set(constraints.not_faces)
    for a, b in apart:
        if a not in gone and b not in gone:
            assert where[T[a]] is not where[T[b]]
    for a, b in joined:
        if a not in gone and b not in gone:
            assert where[T[a]] is where[T[b]]
    for i, name in named.items():
        assert where[T[i]].name == name
    if not joined and not named:
        for a, b in seen - {(a, b) for a, b in seen if a in gone or b in gone}:
            assert where[T[a]] is not where[T[b]]
    names = [c.name for c in found.clusters if c.name]
    assert len(names) == len(set(names))
    assert len({c.cluster_id for c in found.clusters}) == len(found.clusters)
    assert all(0 <= m.score <= 1 for c in found.clusters for m in c.members)
