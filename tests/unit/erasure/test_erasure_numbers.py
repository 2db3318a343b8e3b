"""Taking a row out of the clusters renames nobody."""

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.people import NUMBERS_KEY, display_names, numbers_of
from screenalyzer.schemas import CLUSTERS

_NAME = st.sampled_from([None, "", "Ada", "Person 02", "person 01", "Person 03-2", "Person 1"])


def _clusters(names: list[str | None]) -> pa.Table:
    return pa.Table.from_pylist([{"cluster_id": f"c{i}", "name": n} for i, n in enumerate(names)], CLUSTERS)


def _without(table: pa.Table, name: str) -> pa.Table:
    keep = pa.array([(n or "").strip() != name for n in table["name"].to_pylist()], pa.bool_())
    metadata = {NUMBERS_KEY: json.dumps(numbers_of(table))}
    return table.filter(keep).replace_schema_metadata(metadata)


@settings(deadline=None)  # the first call loads libraries
@given(st.lists(_NAME, max_size=8), st.lists(_NAME.filter(bool), max_size=3))
def test_erasing_one_after_another_renames_nobody(names: list[str | None], gone: list[str]) -> None:
    table = _clusters(names)
    before = display_names(table)
    for name in gone:
        table = _without(table, name)
    kept = set(table["cluster_id"].to_pylist())
    assert display_names(table) == {c: n for c, n in before.items() if c in kept}


def test_who_loses_their_name_later_gets_the_number_of_their_row() -> None:
    table = _without(_clusters(["Ada", "Bo", None]), "Ada")
    assert list(display_names(table).values()) == ["Bo", "Person 03"]
    at = table.schema.get_field_index("name")
    unnamed = table.set_column(at, "name", pa.array([None, None], pa.string()))
    unnamed = unnamed.replace_schema_metadata(table.schema.metadata)
    assert list(display_names(unnamed).values()) == ["Person 02", "Person 03"]
