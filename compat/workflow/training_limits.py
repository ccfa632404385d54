"""What a certificate says of the candidate's training: what was looked for in it, and what not."""

from __future__ import annotations

from compat.leakage import TrainingItems
from compat.leaks import Leaks
from compat.probes import Labels
from registry.domain.versions import ModelVersion

NOT_CHECKED = (
    "Leakage was not checked: no training data were given. "
    "Queries that a model was trained on make it look better than it is."
)
CLASSES_UNKNOWN = (
    "Which of the queries' classes the candidate was trained on is not known: seen and unseen "
    "classes are not told apart."
)
_BY_ID = "Leakage was checked by id only: no training vectors were given."
_BY_VECTOR = (
    "Near-duplicates are those by the candidate's own vectors: what was cropped, mirrored or "
    "rewritten may pass for another item."
)
_ALL_SEEN = "Every query's class was trained on: how it does on unseen classes was not tested."
_NONE_SEEN = (
    "No query's class was trained on, by its label: how it does on seen classes was not tested."
)


def limits_of_leaks(
    candidate: ModelVersion, training: TrainingItems, leaks: Leaks
) -> tuple[str, ...]:
    """Return sentences on a search for the queries in the training data."""
    said = [f"{leaks}.", _which_data(candidate, training)]
    said.append(_BY_VECTOR if training.vectors else _BY_ID)
    init = candidate.training.get("init")
    if init is not None:
        said.append(
            f"{candidate.ref} began with the weights of {init}: what that was trained on was "
            "looked through only as far as it was given."
        )
    return tuple(said)


def _which_data(candidate: ModelVersion, training: TrainingItems) -> str:
    """Say how far the data that were looked through are those that were trained on."""
    ref, counted = candidate.ref, candidate.training.get("n_samples")
    if training.is_recorded:
        return f"The training data are those that the training record of {ref} names."
    given = f"the {training.n_items} training items that were given"
    is_whole = training.is_recorded is None and counted == training.n_items
    if counted is None or is_whole:
        return f"That {given} are what {ref} was trained on was taken on trust."
    return (
        f"{given.capitalize()} are not what the training record of {ref} names, which is {counted} "
        "samples: what is missing was not looked through."
    )


def _beside(asked: Labels) -> str:
    """Say where seen and unseen classes stand beside declared groups."""
    same = asked.declared_as
    known = [f"group {group!r} is the {name}" for name, group in same.items()]
    left = [name for name in asked.by_seen if name not in same]
    if left:
        known.append(
            f"{' and '.join(left)} stand apart in the matrix only: requirements were tried in the "
            "groups that were declared"
        )
    text = "; ".join(known)
    return f"{text[0].upper()}{text[1:]}."


def limits_of_classes(asked: Labels, untold: str | None) -> tuple[str, ...]:
    """Return sentences on queries of classes that were trained on, and of others.

    Args:
        asked: the queries, marked.
        untold: a version that the candidate began with, of whose classes nothing is recorded.
    """
    said = []
    if asked.seen is not None and asked.seen.all():
        said.append(_ALL_SEEN)
    elif asked.seen is not None and not asked.seen.any():
        said.append(_NONE_SEEN)
    elif asked.groups is not None:
        said.append(_beside(asked))
    if untold is not None:
        said.append(
            f"The candidate began with the weights of {untold}, of whose classes nothing is "
            "recorded: that may have seen classes which are called unseen here."
        )
    return tuple(said)
