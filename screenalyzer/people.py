"""What the people of an episode are called, also those that nobody has named yet."""

import pyarrow as pa


def display_names(clusters: pa.Table) -> dict[str, str]:
    """The name to show for each cluster.

    A named cluster shows its name. The others are "Person NN", NN being the cluster's row in the table,
    counted from 1, in two digits or more: naming one cluster renumbers no other. Where a real person bears
    such a name, whatever its case, the unnamed cluster steps aside as "Person NN-2", "Person NN-3" and so on.

    Args:
        clusters: table of the schema CLUSTERS.

    Returns:
        cluster_id to name, in the order of the table. Clusters that were given one name share it: they are
        one person.
    """
    ids: list[str] = clusters["cluster_id"].to_pylist()
    names = [(name or "").strip() for name in clusters["name"].to_pylist()]
    taken = {name.casefold() for name in names if name}
    shown: dict[str, str] = {}
    for row, (cluster_id, name) in enumerate(zip(ids, names, strict=True), start=1):
        shown[cluster_id] = name or _stand_in(row, taken)
        taken.add(shown[cluster_id].casefold())
    return shown


def _stand_in(row: int, taken: set[str]) -> str:
    name, turn = f"Person {row:02d}", 1
    while name.casefold() in taken:
        turn += 1
        name = f"Person {row:02d}-{turn}"
    return name
