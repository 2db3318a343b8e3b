"""What the people of an episode are called, also those that nobody has named yet."""

import json

import pyarrow as pa

NUMBERS_KEY = "numbers"  # in the metadata of clusters.parquet: cluster_id to what follows "Person "


def display_names(clusters: pa.Table) -> dict[str, str]:
    """The name to show for each cluster.

    A named cluster shows its name. The others are "Person NN", NN being the cluster's row in the table,
    counted from 1, in two digits or more: naming one cluster renumbers no other. Where a real person bears
    such a name, whatever its case, the unnamed cluster steps aside as "Person NN-2", "Person NN-3" and so on.
    Once a row was taken out, the table's metadata keep the numbers of the others (`numbers_of`).

    Args:
        clusters: table of the schema CLUSTERS.

    Returns:
        cluster_id to name, in the order of the table. Clusters that were given one name share it: they are
        one person.
    """
    ids: list[str] = clusters["cluster_id"].to_pylist()
    names = [(name or "").strip() for name in clusters["name"].to_pylist()]
    kept = _kept_numbers(clusters)
    taken = {name.casefold() for name in names if name}
    shown: dict[str, str] = {}
    for row, (cluster_id, name) in enumerate(zip(ids, names, strict=True), start=1):
        shown[cluster_id] = name or stand_in(kept.get(cluster_id, f"{row:02d}"), taken)
        taken.add(shown[cluster_id].casefold())
    return shown


def numbers_of(clusters: pa.Table) -> dict[str, str]:
    """What follows "Person " for each cluster; with these in the metadata, rows can go and the names stay.

    For a cluster that is named it is what it would be called without its name.
    """
    kept, shown = _kept_numbers(clusters), display_names(clusters)
    named = [bool((name or "").strip()) for name in clusters["name"].to_pylist()]
    rows = enumerate(zip(shown.items(), named, strict=True), start=1)
    return {
        cluster_id: kept.get(cluster_id, f"{row:02d}") if has_name else name.removeprefix("Person ")
        for row, ((cluster_id, name), has_name) in rows
    }


def _kept_numbers(clusters: pa.Table) -> dict[str, str]:
    found: dict[str, str] = json.loads((clusters.schema.metadata or {}).get(NUMBERS_KEY.encode(), b"{}"))
    return found


def stand_in(number: str, taken: set[str]) -> str:
    """What somebody without a name is called, beside names (casefolded) that are taken."""
    name, turn = f"Person {number}", 1
    while name.casefold() in taken:
        turn += 1
        name = f"Person {number}-{turn}"
    return name
