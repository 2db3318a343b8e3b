import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from screenalyzer.people import display_names
from screenalyzer.schemas import CLUSTERS


def _clusters(names: list[str | None]) -> pa.Table:
    rows = [{"cluster_id": f"c{i}", "name": name} for i, name in enumerate(names)]
    return pa.Table.from_pylist(rows, CLUSTERS)


def _shown(names: list[str | None]) -> list[str]:
    return list(display_names(_clusters(names)).values())


def test_the_unnamed_are_numbered_by_row() -> None:
    assert _shown([None, "Ada", None, "  ", ""]) == [
        "Person 01",
        "Ada",
        "Person 03",
        "Person 04",
        "Person 05",
    ]


def test_naming_one_renumbers_no_other() -> None:
    assert _shown([None, None, None])[2] == _shown(["Ada", "Ben", None])[2] == "Person 03"


def test_a_real_name_is_never_borrowed() -> None:
    assert _shown([None, "person 01"]) == ["Person 01-2", "person 01"]
    assert _shown(["Person 02", None, "Person 02-2"]) == ["Person 02", "Person 02-3", "Person 02-2"]


def test_two_clusters_of_one_name_are_one_person() -> None:
    assert _shown(["Ada", "Ada"]) == ["Ada", "Ada"]


def test_more_than_a_hundred() -> None:
    assert _shown([None] * 101)[-1] == "Person 101"


@given(
    st.lists(st.one_of(st.none(), st.sampled_from(["Person 01", "Person 02", "PERSON 03", "Person 02-2"])))
)
def test_the_unnamed_are_unique(names: list[str | None]) -> None:
    shown = [name.casefold() for name in _shown(names)]
    unnamed = [s for s, name in zip(shown, names, strict=True) if name is None]
    assert all(shown.count(s) == 1 for s in unnamed)
