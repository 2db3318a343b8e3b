"""What a cosine distance means, for each embedder; the only table of thresholds on distances."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from screenalyzer.clustering.agglomerate import Limit
from screenalyzer.types import EmbedderId, Float64


@dataclass(frozen=True)
class Calibration:
    """A logistic of cosine distance, and the limits that follow from it.

    Attributes:
        name: the embedder's.
        slope: evidence (natural logarithm of odds) lost a unit of distance.
        midpoint: distance at which one person and two people are equally likely, at equal numbers of pairs.
        link: groups of faces no farther apart than this are one person.
        attach: the same for a poor track, which joins nothing by `link` and has no other group near.
        identify: a face no farther than this from a named person's faces is that person.
        margin: by so much nearer it must be than to the second person.
        measured: on what.
        ratio: see Limit; a matter of people and cameras more than of the embedder.
        prior: see Limit.
    """

    name: str
    slope: float
    midpoint: float
    link: float
    attach: float
    identify: float
    margin: float
    measured: str
    ratio: float = 2.0
    prior: float = 2.0

    @property
    def limit(self) -> Limit:
        """How far apart groups of tracks may be and still be joined."""
        return Limit(self.link, self.ratio, self.prior)

    def evidence(self, distance: Float64) -> Float64:
        """Log odds of one person, at equal numbers of pairs of one and of two people."""
        return np.asarray(self.slope * (self.midpoint - np.asarray(distance)), dtype=np.float64)

    def probability(self, distance: Float64) -> Float64:
        """Probability of one person, at equal numbers of pairs of one and of two people."""
        return np.asarray(expit(self.evidence(distance)), dtype=np.float64)

    def distance(self, probability: float) -> float:
        """The distance that has this probability."""
        return float(self.midpoint - logit(probability) / self.slope)


_DLIB = Calibration(
    name="dlib",
    slope=128.7,
    midpoint=0.0936,
    link=0.080,
    attach=0.095,
    identify=0.070,
    margin=0.012,
    measured="920 images of 79 people of LFW, whole and at 36 to 56 px; see bench/clustering.py",
)

# Not measured here: the weights are no part of any package. Figures from what is published for the same
# network and weights on LFW (verification at a Euclidean distance of about 1.05, which is cosine 0.55).
_FACENET = Calibration(
    name="facenet",
    slope=16.0,
    midpoint=0.62,
    link=0.56,
    attach=0.66,
    identify=0.52,
    margin=0.08,
    measured="published figures, not measured",
)

# A network with an angular margin keeps strangers near a right angle: distance 1. Cautious until measured.
_UNKNOWN = Calibration(
    name="onnx",
    slope=16.0,
    midpoint=0.70,
    link=0.62,
    attach=0.72,
    identify=0.55,
    margin=0.10,
    measured="not measured; cautious figures for networks trained with an angular margin",
)

_TABLE = {c.name: c for c in (_DLIB, _FACENET)}


def calibration_of(embedder: EmbedderId) -> Calibration:
    """The calibration of an embedder; cautious figures for one that was never measured."""
    return _TABLE.get(embedder.name, _UNKNOWN)


def fit_logistic(same: Float64, different: Float64) -> tuple[float, float]:
    """Slope and midpoint of the logistic that best tells two samples of distances apart, at equal weight.

    Maximum likelihood by Newton's method (iteratively reweighted least squares).

    Args:
        same: float64[n], distances of pairs of one person.
        different: float64[m], distances of pairs of two people.

    Raises:
        ValueError: a sample is empty, or no distance separates them better than chance.
    """
    if not len(same) or not len(different):
        raise ValueError("both pairs of one person and pairs of two people are needed")
    d = np.concatenate([same, different]).astype(np.float64)
    centre, scale = d.mean(), max(float(d.std()), 1e-9)
    x = np.column_stack([np.ones(len(d)), (d - centre) / scale])
    y = np.concatenate([np.ones(len(same)), np.zeros(len(different))])
    w = np.concatenate([np.full(len(same), 0.5 / len(same)), np.full(len(different), 0.5 / len(different))])
    ridge = 1e-6 * np.eye(2)  # keeps the slope finite where the samples do not overlap
    beta = np.zeros(2)
    for _ in range(100):
        p = expit(x @ beta)
        gradient = x.T @ (w * (y - p)) - ridge @ beta
        step = np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + ridge, gradient)
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    if beta[1] >= 0:
        raise ValueError("pairs of one person are no nearer than pairs of two people")
    slope = -float(beta[1]) / scale
    return slope, float(centre + beta[0] / slope)
