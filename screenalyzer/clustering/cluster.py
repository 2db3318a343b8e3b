"""From the tracks of an episode to people: decisions first, then names, then likeness."""

from collections.abc import Sequence

import numpy as np

from screenalyzer.clustering.agglomerate import Limit, agglomerate
from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.evidence import Evidence, sums_by_group
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.identify import identify
from screenalyzer.clustering.links import Links, co_visible, resolve
from screenalyzer.clustering.model import Clustering
from screenalyzer.clustering.pooling import any_apart, pooled
from screenalyzer.clustering.rating import describe
from screenalyzer.clustering.refine import reconsider, refine
from screenalyzer.clustering.templates import build_templates, template_distances
from screenalyzer.errors import EmbedderMismatchError
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Bool, Constraints, Float64, Int64, Observations, Track

_GALLERY_FACES = 5  # a named person counts in a mean by at most so many kept faces
_FAR = 2.0  # the largest cosine distance


def cluster(
    tracks: Sequence[Track],
    obs: Observations,
    constraints: Constraints,
    gallery: Gallery | None,
    cfg: ClusterSettings,
    metric: Calibration,
) -> Clustering:
    """Group tracks into people.

    1. People's decisions bind tracks into groups and keep groups apart; so does being seen together.
    2. Groups that are clearly a person of the gallery get that name (open set).
    3. All that are left, named people among them, are agglomerated by average linkage within the
       prohibitions; people of different names never join.
    4. Groups that only the facebank named leave the person where an unnamed cluster is clearly nearer.
    5. Single poor tracks get a second chance at a looser limit, where one group alone is near.
    6. Each cluster is rated: is it a face, and is it one person?

    Args:
        tracks: in any order.
        obs: what their members point into.
        constraints: people's decisions.
        gallery: named faces of the show, by the same embedder; None for none.
        cfg: settings.
        metric: what a distance of this embedder means.

    Returns:
        Every track in exactly one cluster, or in not_faces. The same for any order of the tracks.

    Raises:
        ConstraintError: decisions contradict one another.
        EmbedderMismatchError: the gallery's vectors are of another length.
        SettingsError: a GPU is asked for and there is none.
    """
    dropped = {t.track_id for t in tracks} & constraints.not_faces
    kept = sorted((t for t in tracks if t.track_id not in dropped), key=lambda t: (t.start_ms, t.track_id))
    links = resolve([t.track_id for t in kept], co_visible(kept, obs), constraints)
    not_faces = tuple(sorted(dropped))
    if not kept:
        return Clustering((), not_faces, links.unapplied)
    evidence = _gather(kept, obs, links, gallery, cfg)
    to_person = evidence.group_to_person()
    owner = identify(to_person, evidence.names, links, metric)
    label, of_name = _agglomerate(evidence, owner, metric)
    groups = evidence.grouped(links.apart | _kept_from_names(evidence, owner, label, of_name))
    guessed = (owner >= 0) & ~groups.decided
    label = reconsider(groups, label, guessed, _to_owner(to_person, owner), metric)
    label = refine(groups, label, fixed=owner >= 0, metric=metric)
    names = {int(k): name for k, name in zip(of_name, evidence.names, strict=True)}
    clusters = describe(kept, obs, evidence, label, names, metric)
    return Clustering(clusters, not_faces, links.unapplied)


def _to_owner(to_person: Float64, owner: Int64) -> Float64:
    """Distance of each group to the kept faces of whom it was taken for: float64[c]; NaN for the unnamed."""
    distance = np.full(len(owner), np.nan)
    named = np.flatnonzero(owner >= 0)
    distance[named] = to_person[named, owner[named]]
    return distance


def _gather(
    tracks: Sequence[Track], obs: Observations, links: Links, gallery: Gallery | None, cfg: ClusterSettings
) -> Evidence:
    templates = build_templates(tracks, obs)
    if gallery is not None and len(gallery.vectors) and gallery.vectors.shape[1] != obs.embeddings.shape[1]:
        raise EmbedderMismatchError(
            f"the facebank's vectors have {gallery.vectors.shape[1]} numbers and the episode's "
            f"{obs.embeddings.shape[1]}. Re-embed the facebank from its kept crops."
        )
    names = tuple(sorted(set(links.labels.values()) | set(gallery.names if gallery else ())))
    kept = np.array([gallery.faces_of(n) if gallery else 0 for n in names], dtype=np.float64)
    to_person = np.full((len(tracks), len(names)), np.inf)
    if gallery is not None:
        columns = [names.index(n) for n in gallery.names]
        to_person[:, columns] = gallery.distances(templates.vectors)
    distances = template_distances(templates.vectors, cfg.backend)
    return Evidence(templates, distances, links, names, np.minimum(kept, _GALLERY_FACES), to_person)


def _agglomerate(evidence: Evidence, owner: Int64, metric: Calibration) -> tuple[Int64, Int64]:
    """The cluster of each group, int64[c], and of each name, int64[p].

    A named person is one node with all their groups and kept faces.
    """
    p = len(evidence.names)
    unnamed = np.flatnonzero(owner < 0)
    node = owner.copy()
    node[unnamed] = p + np.arange(len(unnamed))
    count = p + len(unnamed)
    between, mass = _between_nodes(evidence, node[evidence.links.group], count, metric)
    _add_gallery(between, evidence, unnamed, metric)
    mass[:p] += evidence.kept
    apart = any_apart(evidence.links.apart, node, node, (count, count)) | _apart_by_name(
        evidence, node, count
    )
    label = agglomerate(between, np.maximum(mass, 1e-3), apart, metric.limit)
    return label[node], label[:p]


def _between_nodes(
    evidence: Evidence, node: Int64, count: int, metric: Calibration
) -> tuple[Float64, Float64]:
    """Distance of every two nodes, and the weight of each; node is that of each track.

    People also join what does not look alike: with and without a beard, then and now. So a node is first
    parted into looks, and another is as near as its nearest look; a mean over all looks would be near nobody.
    """
    weight = evidence.templates.weight
    strangers = node[:, None] != node[None, :]
    look = agglomerate(evidence.distances, weight, strangers, Limit(metric.link))
    looks = int(look.max()) + 1
    mean = pooled(evidence.distances, weight, look, look, (looks, looks))
    node_of = np.zeros(looks, dtype=np.int64)
    node_of[look] = node
    order = np.argsort(node_of, kind="stable")
    present, starts = np.unique(node_of[order], return_index=True)
    mean = np.nan_to_num(mean, nan=0.0)[np.ix_(order, order)]
    nearest = np.minimum.reduceat(np.minimum.reduceat(mean, starts, axis=0), starts, axis=1)
    between = np.full((count, count), _FAR)
    between[np.ix_(present, present)] = nearest
    return between, sums_by_group(node, weight, count)


def _add_gallery(between: Float64, evidence: Evidence, unnamed: Int64, metric: Calibration) -> None:
    """A person's kept faces are one more look of theirs, held to the stricter limit of identification."""
    p = len(evidence.names)
    to_person = evidence.group_to_person()[unnamed] + (metric.link - metric.identify)
    for k in np.flatnonzero(evidence.kept > 0):
        between[k, p:] = between[p:, k] = np.minimum(between[k, p:], to_person[:, k])


def _apart_by_name(evidence: Evidence, node: Int64, count: int) -> Bool:
    """Nodes kept apart by names: two names, and a name that a person ruled out."""
    p = len(evidence.names)
    apart = np.zeros((count, count), dtype=bool)
    apart[:p, :p] = True
    for group, name in evidence.links.not_named:
        if name in evidence.names:
            k = evidence.names.index(name)
            apart[k, node[group]] = apart[node[group], k] = True
    np.fill_diagonal(apart, False)
    return apart


def _kept_from_names(evidence: Evidence, owner: Int64, label: Int64, of_name: Int64) -> Bool:
    """Groups kept apart by names: bool[c, c]."""
    named = owner >= 0
    apart = named[:, None] & named[None, :] & (owner[:, None] != owner[None, :])
    for group, name in evidence.links.not_named:
        if name in evidence.names:
            theirs = label == of_name[evidence.names.index(name)]
            apart[group, theirs] = apart[theirs, group] = True
    return np.asarray(apart)
