"""What a candidate was trained on: which queries are in it, and which of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from compat.class_ranges import read_ranges
from compat.leakage import TrainingItems, look_for
from compat.leaks import list_leaks
from compat.matrix import ByMetric
from compat.probes import Labels, Probe, as_one_kind
from registry.arrays import LabelArray
from registry.domain.canonical import Json
from registry.domain.policies import Policy
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError
from registry.service import Registry

from .training_limits import CLASSES_UNKNOWN, NOT_CHECKED, limits_of_classes, limits_of_leaks


@dataclass(frozen=True, slots=True)
class Trained:
    """What was found out about the candidate's training data and the queries.

    Attributes:
        leakage: what was found of each query in them, or None if none were given.
        named: how many items were looked through, and their digest; empty if none were.
        limits: sentences for the certificate.
    """

    leakage: ByMetric | None = None
    named: Mapping[str, Json] = field(default_factory=dict)
    limits: tuple[str, ...] = ()


def look_into_training(
    registry: Registry,
    candidate: ModelVersion,
    probe: Probe,
    training: TrainingItems | None,
    policy: Policy,
) -> tuple[Probe, Trained]:
    """Look for the queries in what the candidate was trained on, and for their classes.

    Args:
        registry: an open registry.
        candidate: the version that shall be certified.
        probe: labelled queries, embedded by it.
        training: its training data; None if they are not at hand. Classes that they do not tell
            are those of its training record, if it has one.
        policy: says what counts as found.

    Returns:
        The probe, its queries told apart by whether their class was trained on, if that is known;
        and what was found.

    Raises:
        SpaceMismatchError: if training vectors are of another space.
        InvalidInputError: if the probe lacks the candidate's queries, has judgements while classes
            are given, or a group named as seen or unseen classes are.
    """
    asked, said = _tell_apart(registry, candidate, probe.queries, training)
    probe = replace(probe, queries=asked)
    if training is None or not training.is_searchable:
        return probe, Trained(limits=(NOT_CHECKED, *said))
    found = look_for(probe.vectors_of(candidate.ref), asked.ids, training)
    leaks = list_leaks(asked.ids, found, policy.near_duplicate)
    limits = (*limits_of_leaks(candidate, training, leaks), *said)
    return probe, Trained(found, training.named, limits)


def _tell_apart(
    registry: Registry, candidate: ModelVersion, asked: Labels, training: TrainingItems | None
) -> tuple[Labels, tuple[str, ...]]:
    """Return the queries, told apart by whether their class was trained on, and what to say."""
    classes, untold = None if training is None else training.classes, None
    if asked.qrels is not None:
        if classes is not None:
            raise InvalidInputError(
                "the queries carry judgements, so they have no classes that could be trained on",
                hint="leave the training labels out",
            )
        return asked, ()
    if classes is None:
        classes, untold = recorded_classes(registry, candidate)
    if classes is None:
        return asked, (CLASSES_UNKNOWN,)
    marked = replace(asked, seen=np.isin(*as_one_kind(asked.labels, classes)))
    return marked, limits_of_classes(marked, untold)


def recorded_classes(
    registry: Registry, version: ModelVersion
) -> tuple[LabelArray | None, str | None]:
    """Return the class labels that a version was trained on, by the training records.

    Those of the version that it began with count too.

    Returns:
        The labels, or None if its own record does not tell; and the first version in its descent
        whose record does not, or None.
    """
    found: list[LabelArray] = []
    current: ModelVersion | None = version
    while current is not None:
        text = current.training.get("classes")
        labels = read_ranges(text) if isinstance(text, str) else None
        if labels is None:
            return (np.concatenate(found), str(current.ref)) if found else (None, None)
        found.append(labels)
        init = current.training.get("init")
        current = registry.models.get(init) if isinstance(init, str) else None
    return np.concatenate(found), None
