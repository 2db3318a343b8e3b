import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screenalyzer.clustering.metrics import bcubed, wcp


def bcubed_by_definition(true, found, w):
    """Straight from Bagga and Baldwin, item by item."""
    p = r = 0.0
    for i in range(len(true)):
        together = [j for j in range(len(true)) if found[j] == found[i]]
        alike = [j for j in range(len(true)) if true[j] == true[i]]
        both = sum(w[j] for j in together if true[j] == true[i])
        p += w[i] * both / sum(w[j] for j in together)
        r += w[i] * both / sum(w[j] for j in alike)
    return p / sum(w), r / sum(w)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0.1, 9)), min_size=1, max_size=15))
def test_bcubed_is_its_definition(items):
    true, found, w = (list(c) for c in zip(*items, strict=True))
    ours = bcubed(true, found, w)
    assert (ours.precision, ours.recall) == pytest.approx(bcubed_by_definition(true, found, w))


def test_a_worked_example():
    """Amigo and others 2009: one group of a, a, b; one of b."""
    assert bcubed(["a", "a", "b", "b"], [0, 0, 0, 1]) == pytest.approx((2 / 3, 3 / 4, 12 / 17))


def test_purity_counts_weight():
    assert wcp(["a", "b", "b"], [0, 0, 1], [3, 1, 1]) == pytest.approx(4 / 5)


def test_nothing_is_perfect():
    assert bcubed([], []) == (1.0, 1.0, 1.0)
    assert wcp([], []) == 1.0


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0]])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        bcubed([0, 1], [0, 1], np.array(weights))
