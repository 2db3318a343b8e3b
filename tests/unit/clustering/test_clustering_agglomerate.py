import dataclasses

import numpy as np
import pytest
from cluster_worlds import METRIC, episode
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from screenalyzer.clustering.agglomerate import Limit, agglomerate
from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.metrics import bcubed
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Constraints


def random_distances(n: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, 5))
    d = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    return (d + d.T) / 2


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 60), seed=st.integers(0, 10_000), limit=st.floats(0, 6))
def test_equals_scipy_average_linkage_without_prohibitions(n, seed, limit):
    d = random_distances(n, seed)
    ours = agglomerate(d, np.ones(n), np.zeros((n, n), bool), Limit(limit))
    theirs = fcluster(linkage(squareform(d, checks=False), "average"), limit, "distance")
    assert bcubed(theirs, ours).f1 == 1.0


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 30), seed=st.integers(0, 10_000), share=st.floats(0, 1), limit=st.floats(0, np.inf))
def test_prohibited_pairs_are_never_joined(n, seed, share, limit):
    rng = np.random.default_rng(seed)
    apart = rng.random((n, n)) < share
    apart |= apart.T
    np.fill_diagonal(apart, False)
    group = agglomerate(random_distances(n, seed), rng.uniform(0.1, 1, n), apart, Limit(limit))
    assert not (apart & (group[:, None] == group[None, :])).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), copies=st.integers(2, 4))
def test_weight_counts_like_copies(seed, copies):
    """An item of weight 3 is 3 items at one place."""
    n = 12
    d = random_distances(n, seed)
    weights = np.ones(n)
    weights[0] = copies
    rows = np.r_[np.zeros(copies, int), np.arange(1, n)]
    many = d[np.ix_(rows, rows)]
    once = agglomerate(d, weights, np.zeros((n, n), bool), Limit(2.0))
    repeated = agglomerate(many, np.ones(len(rows)), np.zeros(many.shape, bool), Limit(2.0))
    assert bcubed(once[rows], repeated).f1 == 1.0


@pytest.mark.parametrize(("limit", "clusters"), [(-1.0, 6), (2.0, 1)])
def test_extreme_limits(limit, clusters):
    tracks, obs = episode([1, 2, 3, 1, 2, 3])
    metric = dataclasses.replace(METRIC, link=limit, attach=limit)
    found = cluster(tracks, obs, Constraints(), None, ClusterSettings(backend="cpu"), metric)
    assert len(found.clusters) == clusters


def test_groups_are_numbered_by_their_first_item():
    d = np.array([[0, 9, 1.0], [9, 0, 9], [1, 9, 0]])
    assert agglomerate(d, np.ones(3), np.zeros((3, 3), bool), Limit(2.0)).tolist() == [0, 1, 0]
