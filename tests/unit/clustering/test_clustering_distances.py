import numpy as np
import pytest
from scipy.spatial.distance import cdist

from screenalyzer.clustering import distances
from screenalyzer.clustering.calibration import calibration_of, fit_logistic
from screenalyzer.clustering.distances import pairwise_cosine, resolve_backend
from screenalyzer.clustering.templates import template_distances
from screenalyzer.errors import SettingsError
from screenalyzer.types import EmbedderId
from screenalyzer.vectors import unit

VECTORS = unit(np.random.default_rng(0).normal(size=(200, 128)).astype(np.float32))
LACKING = distances._what_a_gpu_lacks()


def test_agrees_with_scipy():
    ours = pairwise_cosine(VECTORS, "cpu")
    np.testing.assert_allclose(ours, cdist(VECTORS.astype(float), VECTORS.astype(float), "cosine"), atol=1e-6)
    np.testing.assert_array_equal(ours, ours.T)
    assert (np.diag(ours) == 0).all()


@pytest.mark.skipif(bool(LACKING), reason=f"no GPU path here: {LACKING}")
def test_gpu_agrees_with_cpu():
    np.testing.assert_allclose(pairwise_cosine(VECTORS, "gpu"), pairwise_cosine(VECTORS, "cpu"), atol=1e-5)


@pytest.mark.skipif(not LACKING, reason="this machine has a GPU and cuML")
def test_asking_for_a_missing_gpu_says_what_to_do():
    with pytest.raises(SettingsError, match=r"SCREENALYZER_CLUSTER__BACKEND=auto"):
        resolve_backend("gpu")
    assert resolve_backend("auto") == "cpu"


def test_distance_of_templates_is_the_mean_over_pairs():
    a, b = VECTORS[:3], VECTORS[3:8]
    d = template_distances(np.stack([a.mean(axis=0), b.mean(axis=0)]), "cpu")
    assert d[0, 1] == pytest.approx(cdist(a.astype(float), b.astype(float), "cosine").mean(), abs=1e-6)


def test_logistic_fit_recovers_what_made_the_sample():
    rng = np.random.default_rng(4)
    same, different = rng.normal(0.06, 0.02, 20_000), rng.normal(0.14, 0.02, 20_000)
    slope, midpoint = fit_logistic(same, different)
    # Two normals of one variance: the log odds are a line with slope (difference of means) / variance.
    assert slope == pytest.approx(0.08 / 0.02**2, rel=0.05)
    assert midpoint == pytest.approx(0.10, abs=0.001)


def test_logistic_fit_refuses_what_separates_nothing():
    with pytest.raises(ValueError, match="no nearer"):
        fit_logistic(np.array([0.5, 0.6]), np.array([0.1, 0.2]))


@pytest.mark.parametrize("name", ["dlib", "facenet", "onnx:studio"])
def test_every_calibration_is_in_order(name):
    c = calibration_of(EmbedderId(name, 1, ""))
    assert 0 < c.identify < c.link < c.attach
    assert c.probability(np.array([c.midpoint]))[0] == pytest.approx(0.5)
    assert c.probability(np.array([c.distance(0.9)]))[0] == pytest.approx(0.9)
