"""Registered probe sets: the registry keeps them, certifying asks them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compat.attempts import rules_of
from compat.cells import SearchedItems
from compat.probe_files import (
    Questions,
    digest_content,
    facts_of,
    read_questions,
    write_questions,
)
from compat.probes import Probe, align_labels
from registry.arrays import LabelArray
from registry.domain.attempts import Attempt
from registry.domain.policies import Policy
from registry.domain.probe_sets import ProbeFacts, ProbeSet
from registry.errors import InvalidInputError
from registry.service import Registry

from .items import check_answerable, check_judgements, live_ids


@dataclass(frozen=True, slots=True)
class Registered:
    """The outcome of registering: what is known of the questions, and whether they are new."""

    facts: ProbeFacts
    is_new: bool


def register_questions(
    registry: Registry, name: str, gallery: str, questions: Questions, *, dry_run: bool = False
) -> Registered:
    """Keep questions as a probe set; the same again changes nothing.

    Args:
        registry: an open registry.
        name: a name that no other set has.
        gallery: the gallery whose items they speak of; every query must have an answer there.
        questions: what is asked, and what is relevant.
        dry_run: make every check and change nothing.

    Raises:
        InvalidInputError: if the questions do not fit the gallery, or the name cannot be one.
        NotFoundError: if there is no such gallery, or no signing key.
        AlreadyExistsError: if the name is taken by other content.
    """
    facts = facts_of(questions)
    if registry.probes.check_register(name, gallery, facts) is not None:
        return Registered(facts, is_new=False)
    _check_fit(registry, gallery, questions)
    if dry_run:
        return Registered(facts, is_new=True)
    made = registry.probes.register(name, gallery, facts, write_questions(questions))
    return Registered(facts, made.is_new)


def _check_fit(registry: Registry, gallery: str, questions: Questions) -> None:
    """Refuse questions that measure nothing on the gallery as it is."""
    asked, ids = questions.queries, live_ids(registry, gallery)
    if not len(asked.ids):
        raise InvalidInputError("there are no queries to register")
    _check_distinct(asked.ids)
    if questions.items is None:
        check_judgements(registry, gallery, asked)
        return
    labels = align_labels(questions.items, ids, gallery)
    if len(np.unique(labels)) == 1:
        raise InvalidInputError(
            f"all items of gallery {gallery!r} have one label, {labels.tolist()[0]!r}: "
            "whatever is found is right, so nothing can be measured",
            hint="label the items by what tells right answers from wrong ones",
        )
    check_answerable(gallery, asked, SearchedItems(ids, labels, []))


def _check_distinct(ids: LabelArray) -> None:
    names, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InvalidInputError(
            f"{int((counts > 1).sum())} ids name several queries, for example "
            f"{names[counts > 1].tolist()[0]!r}",
            hint="every query has an id of its own",
        )


def read_set(registry: Registry, name: str) -> tuple[ProbeSet, Questions]:
    """Return a registered probe set; nothing is parsed before it is known to be as registered.

    Raises:
        NotFoundError: if there is none of that name.
        DigestMismatchError: if its row or its file was changed.
        SignatureError: if nobody trusted registered it.
        CorruptFileError: if the file is missing.
    """
    found, data = registry.probes.open(name)
    return found, read_questions(data, f"the file of probe set {name!r}")


def questions_for(registry: Registry, name: str, gallery: str) -> tuple[ProbeSet, Questions]:
    """Return a registered probe set to certify on a gallery; errors as `read_set`'s.

    Raises:
        InvalidInputError: if it is of another gallery, or the gallery has items since then that
            the set has no label of.
    """
    found, questions = read_set(registry, name)
    if found.gallery != gallery:
        raise InvalidInputError(
            f"probe set {name!r} is of gallery {found.gallery!r}, not of {gallery!r}",
            hint=f"register one: samespace probe register NAME --gallery {gallery} …",
        )
    if questions.items is not None:
        try:
            align_labels(questions.items, live_ids(registry, gallery), gallery)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"probe set {name!r}: {error}",
                hint="the gallery grew since it was registered: register a new one with labels of "
                "all items; attempts on the same queries go on being counted",
            ) from error
    return found, questions


def check_registered(gallery: str, probe: Probe) -> None:
    """Refuse a probe that says it is a registered set and is not.

    Raises:
        InvalidInputError: if it asks anything else, or on another gallery.
    """
    said = probe.probe_set
    if said is None:
        return
    asked = Questions(probe.queries, probe.gallery_labels)
    if (said.gallery, said.facts.digest) != (gallery, digest_content(asked)):
        raise InvalidInputError(
            f"the probe asks something else than the registered set {said.name!r} of gallery "
            f"{said.gallery!r}",
            hint="take its queries, labels and judgements as they are registered",
        )


def describe_set(probe: Probe) -> tuple[str, ...]:
    """Return in a sentence which registered set a certificate speaks of, if it does of one."""
    said = probe.probe_set
    if said is None:
        return ()
    text = (
        f"It is measured on the registered probe set {said.name!r} ({said.facts.digest[:12]}), "
        f"which {said.registered_by} registered on {said.registered_at:%Y-%m-%d}, and speaks of "
        "the queries that it stands for."
    )
    return (text,)


def next_level(registry: Registry, probe_set: ProbeSet, policy: Policy) -> float:
    """Return the one-sided confidence at which the next attempt on a set would be decided.

    Raises:
        InvalidInputError: if its queries are used up.
    """
    numbers = [found.number for found in registry.probes.outcomes(probe_set.name)]
    following = Attempt(probe_set.facts.questions, "", max(numbers, default=0) + 1)
    return rules_of(policy, following).confidence_level
