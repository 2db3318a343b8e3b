"""Work that cannot fit is refused, since it would wait forever without a word."""

import pytest

from pipelines.cluster import cluster
from pipelines.layout import Layout
from screenalyzer.errors import SettingsError
from screenalyzer.settings import Settings

pytestmark = pytest.mark.ray


def test_a_layout_that_cannot_fit_is_refused(layout: Layout) -> None:
    greedy = Settings.model_validate({"ray": {"detector_replicas": 500}})
    with pytest.raises(SettingsError, match=r"500|CPUs.*Lower"), cluster(greedy.ray):
        pytest.fail("it was not refused")


def test_the_default_layout_fits_this_cluster(layout: Layout) -> None:
    with cluster(Settings().ray) as found:
        assert found == layout
