import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.layout import plan_layout
from screenalyzer.settings import RaySettings

each = st.sampled_from([0.1, 0.25, 0.4, 0.5, 1.0])


@given(cpus=st.integers(2, 128), gpus=st.integers(0, 16))
@example(cpus=2, gpus=8)
@example(cpus=4, gpus=8)
@example(cpus=128, gpus=16)
def test_default_parts_fit_whatever_the_cluster(cpus: int, gpus: int) -> None:
    found = plan_layout(RaySettings(), cpus, gpus)
    assert found.cpus <= cpus
    assert found.gpus <= gpus
    assert min(found.detector_replicas, found.embedder_replicas, found.decoder_actors) >= 1
    assert found.device == ("cuda" if gpus else "cpu")


@given(
    cpus=st.integers(4, 128), gpus=st.integers(2, 8), detector=each, embedder=each, decoder=each, on_gpu=each
)
def test_parts_of_other_sizes_fit_as_well(
    cpus: int, gpus: int, detector: float, embedder: float, decoder: float, on_gpu: float
) -> None:
    cfg = RaySettings(
        detector_cpus=detector, embedder_cpus=embedder, decoder_cpus=decoder,
        detector_gpus=on_gpu, embedder_gpus=1.0,
    )  # fmt: skip
    found = plan_layout(cfg, cpus, gpus)
    assert found.cpus <= cpus + 1e-6
    assert found.gpus <= gpus + 1e-6


@given(cpus=st.integers(2, 128), gpus=st.integers(0, 8), count=st.integers(1, 40))
def test_what_the_user_fixed_stays_and_the_rest_gives_way(cpus: int, gpus: int, count: int) -> None:
    found = plan_layout(RaySettings(detector_replicas=count), cpus, gpus)
    assert found.detector_replicas == count
    if found.cpus > cpus:
        assert (found.embedder_replicas, found.decoder_actors) == (1, 1)


@given(cpus=st.integers(2, 127))
def test_more_cpus_never_mean_less_work(cpus: int) -> None:
    smaller, larger = (plan_layout(RaySettings(device="cpu"), c, 0) for c in (cpus, cpus + 1))
    for name in ("detector_replicas", "embedder_replicas", "decoder_actors"):
        assert getattr(smaller, name) <= getattr(larger, name)


@pytest.mark.parametrize(
    ("cpus", "parts"), [(2, (1, 1, 1)), (6, (2, 1, 1)), (12, (5, 2, 2)), (48, (23, 8, 8))]
)
def test_of_six_cores_three_detect(cpus: int, parts: tuple[int, int, int]) -> None:
    found = plan_layout(RaySettings(), cpus, 0)
    assert (found.detector_replicas, found.embedder_replicas, found.decoder_actors) == parts


def test_the_cpu_is_used_where_it_is_asked_for() -> None:
    found = plan_layout(RaySettings(device="cpu"), 16, 4)
    assert (found.device, found.gpus) == ("cpu", 0)


@pytest.mark.parametrize(("device", "found"), [("auto", "cpu"), ("cpu", "cpu"), ("cuda", "cuda")])
def test_an_elastic_cluster_is_not_asked_what_it_has(device: str, found: str) -> None:
    cfg = RaySettings.model_validate({"elastic": True, "device": device, "max_replicas": 3})
    layouts = {plan_layout(cfg, cpus, gpus) for cpus, gpus in ((0, 0), (128, 16))}
    assert len(layouts) == 1
    layout = layouts.pop()
    assert (layout.device, layout.decoder_actors, layout.max_replicas) == (found, 1, 3)
    assert layout.task_options["label_selector"] == {"screenalyzer.io/kind": "!gpu"}
    assert plan_layout(RaySettings(), 8, 0).task_options == {"num_cpus": 0.25}
