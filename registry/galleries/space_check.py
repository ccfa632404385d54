"""A guard for vectors without a fingerprint: do they look like the space they claim to be of?

Which directions a model uses strongly, weakly or never is a property of the model more than of
the content: a covariance matrix tells it. Strong directions follow the content, so the comparison
takes the *logarithm* of the covariance, where the weak ones count as much.

With C the covariance of unit-normalised vectors scaled to trace d, L = log(C + 0.1 I) without its
trace part. Every sample is split into two halves, which give L1 and L2 for the batch and M1 and
M2 for the reference. The *alignment*

    s = mean of <Li, Mj> / sqrt(<L1, L2> <M1, M2>)

is about 1 for two samples of one space and one kind of content, and about 0 for unrelated spaces
or a random rotation. Dividing by products of independent halves, rather than by norms, takes out
what sampling noise adds to a norm, so s hardly depends on how many vectors there are.

For unrelated spaces <L, M> / (|L| |M|) has a standard deviation of sqrt(2) / d, that of two
independent random symmetric matrices of d (d + 1) / 2 entries. With the *reliability*
rho = <L1, L2> / (|L1| |L2|), the lesser of both samples', s has a *resolution* of
sqrt(2) / (d rho). Another space is claimed only if both samples have at least 128 vectors, the
resolution is at most 0.05, and s < 0.15, that is three resolutions above 0. Few dimensions or
few vectors thus give no verdict; d below 29 never does.

Measured on real embeddings (s over all pairs, in whole and in random samples of 128 vectors):

================================================  ============  ============
pair                                              all vectors   128 vectors
================================================  ============  ============
MiniLM-L3, SciFact vs Cranfield                   0.66 to 0.80  0.54 to 0.63
MiniLM-L6, SciFact vs Cranfield                   0.33 to 0.52  0.25 to 0.32
WordLlama, SciFact vs Cranfield                   0.23 to 0.37  0.18 to 0.30
one text model, documents vs queries              0.79 to 0.96  0.76 to 1.04
one ResNet, disjoint CIFAR-10 halves              0.77 to 0.83  0.73 to 0.81
one ResNet, one class vs another                  0.59 to 0.91  0.57 to 0.89
MiniLM-L3 vs MiniLM-L6 (of one ancestor)          0.07 to 0.11  0.04 to 0.13
ResNet-20 vs ResNet-56                           -0.06 to 0.08 -0.07 to 0.08
random rotation of any of them                   -0.03 to 0.03 -0.03 to 0.04
================================================  ============  ============

The plain alignment of second moments does not work: it is 0.03 for MiniLM-L6 on SciFact vs
Cranfield, one space, and 0.74 for ResNet-20 vs ResNet-56, two spaces.

Compare like with like: a two-tower model's images and texts are two samples of different kinds.
A model fine-tuned from another may pass as it; only a fingerprint tells such two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Float32Array, Float64Array
from ..errors import DimensionMismatchError
from .geometry import normalise

MIN_VECTORS = 128
MAX_RESOLUTION = 0.05
OTHER_BELOW = 0.15
_MAX_VECTORS = 4096
_MAX_DIMS = 512
_RIDGE = 0.1


@dataclass(frozen=True, slots=True)
class SpaceEvidence:
    """How much a batch looks like a reference.

    Attributes:
        alignment: about 1 for one space, about 0 for unrelated spaces; 0 if it has no meaning.
        resolution: the standard deviation of the alignment of unrelated spaces; infinite if the
            samples say nothing.
        n_batch: vectors in the batch that have a direction.
        n_reference: vectors in the reference that have a direction.
    """

    alignment: float
    resolution: float
    n_batch: int
    n_reference: int

    @property
    def has_power(self) -> bool:
        """Whether another space would be noticed at all."""
        enough = min(self.n_batch, self.n_reference) >= MIN_VECTORS
        return enough and self.resolution <= MAX_RESOLUTION

    @property
    def is_other_space(self) -> bool:
        """Whether the batch is of another space than the reference, as far as one can tell."""
        return self.has_power and self.alignment < OTHER_BELOW


def check_same_space(batch: Float32Array, reference: Float32Array) -> SpaceEvidence:
    """Compare a batch with vectors that are known to be of the space it claims.

    Of large samples, 4096 evenly spaced rows and the first 512 dimensions are compared. Rows
    whose order is random or by content are both fine; exact repetitions in both count as content.

    Args:
        batch: finite float32. Shape: (n, dim).
        reference: finite float32. Shape: (m, dim).

    Raises:
        DimensionMismatchError: if the dimensions differ.
    """
    if batch.shape[1] != reference.shape[1]:
        raise DimensionMismatchError(
            f"the batch has {batch.shape[1]} dimensions, the reference {reference.shape[1]}"
        )
    found, known = _directions(batch), _directions(reference)
    halves = [_log_covariance(rows) for x in (found, known) for rows in (x[::2], x[1::2])]
    if any(half is None for half in halves):
        return SpaceEvidence(0.0, float("inf"), len(found), len(known))
    l1, l2, m1, m2 = (half for half in halves if half is not None)
    within = (_inner(l1, l2), _inner(m1, m2))
    sizes = (_inner(l1, l1) * _inner(l2, l2), _inner(m1, m1) * _inner(m2, m2))
    if min(within) <= 0:
        return SpaceEvidence(0.0, float("inf"), len(found), len(known))
    reliability = min(w / np.sqrt(size) for w, size in zip(within, sizes, strict=True))
    alignment = _inner(l1 + l2, m1 + m2) / 4 / np.sqrt(within[0] * within[1])
    resolution = np.sqrt(2) / (found.shape[1] * reliability)
    return SpaceEvidence(float(alignment), float(resolution), len(found), len(known))


def _directions(vectors: Float32Array) -> Float32Array:
    """Return at most 4096 rows, evenly spaced, cut to 512 dimensions and of unit norm."""
    step = max(1, -(-len(vectors) // _MAX_VECTORS))
    rows = normalise(vectors[::step, :_MAX_DIMS])
    return rows[rows.any(axis=1)]


def _log_covariance(rows: Float32Array) -> Float64Array | None:
    """Return the traceless log-covariance, or None if the rows do not vary."""
    dim = rows.shape[1]
    if len(rows) < 2:
        return None
    centred = rows.astype(np.float64)
    centred -= centred.mean(axis=0)
    covariance = centred.T @ centred
    trace = float(np.trace(covariance))
    if trace <= 1e-9 * len(rows):
        return None
    values, vectors = np.linalg.eigh(covariance * (dim / trace))
    logs = np.log(np.maximum(values, 0) + _RIDGE)
    result: Float64Array = (vectors * (logs - logs.mean())) @ vectors.T
    return result


def _inner(a: Float64Array, b: Float64Array) -> float:
    return float(np.vdot(a, b))
