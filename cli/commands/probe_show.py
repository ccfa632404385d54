"""``samespace probe show``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.options import Session, pass_session, session_options
from cli.output import short, table
from cli.probes import as_data

if TYPE_CHECKING:
    from rich.console import RenderableType

    from compat.probe_files import Questions
    from registry import Registry
    from registry.domain.attempts import Outcome
    from registry.domain.canonical import Json
    from registry.domain.probe_sets import ProbeSet


@click.command("show")
@click.argument("name")
@session_options
@pass_session
def show_set(session: Session, name: str) -> int:
    """Show the probe set NAME: what it asks, who registered it, and every attempt made on it.

    Attempts are counted by the queries, so those count too that took them from files; dry runs do
    not. What is said of the next one holds for the default policy.

    \b
    Example:
      samespace probe show spring
    """
    from compat.workflow.probe_sets import read_set

    with session.open() as registry:
        found, questions = read_set(registry, name)
        made = registry.probes.outcomes(name)
        model = registry.galleries.get(found.gallery).model
        level, said = _next_attempt(registry, found)
    content = _content(questions)
    return session.output.result(
        {
            **as_data(found),
            **content,
            "attempts": [_outcome(one, model) for one in made],
            "next_level": level,
        },
        *_shown(found, content),
        _attempts(made, model),
        said,
    )


def _next_attempt(registry: Registry, found: ProbeSet) -> tuple[float | None, str]:
    """Return the level of the next attempt under the default policy, and a sentence on it."""
    from compat.workflow.probe_sets import next_level
    from registry.domain.policies import Policy
    from registry.errors import InvalidInputError

    try:
        level = next_level(registry, found, Policy())
    except InvalidInputError as error:
        return None, f"{error}; {error.hint}"
    return level, (
        f"by the default policy the next attempt is decided at one-sided confidence {level:.6g}"
    )


def _content(questions: Questions) -> dict[str, Json]:
    import numpy as np

    asked, items = questions.queries, questions.items
    sizes: dict[str, Json] = {name: len(rows) for name, rows in asked.by_group.items()}
    return {
        "n_classes": None if items is None else len(np.unique(asked.labels)),
        "n_labelled_items": None if items is None else len(items.ids),
        "n_judgements": None if asked.qrels is None else len(asked.qrels.gains),
        "groups": sizes if asked.groups is not None else {},
    }


def _shown(found: ProbeSet, content: dict[str, Json]) -> list[RenderableType]:
    facts = found.facts
    what = (
        f"{content['n_judgements']} judgements"
        if content["n_classes"] is None
        else f"{content['n_classes']} classes; {content['n_labelled_items']} items are labelled"
    )
    groups = content["groups"]
    sizes = list(groups.items()) if isinstance(groups, dict) else []
    return [
        f"probe set {found.name!r} of gallery {found.gallery!r}: {facts.n_queries} queries, {what}",
        f"registered {found.registered_at:%Y-%m-%d %H:%M} UTC by {found.registered_by}",
        f"digest {facts.digest}",
        f"of the questions alone {facts.questions}",
        f"file {found.file.path} in the storage",
        table("", ("group", "#queries"), sizes) if sizes else "no groups",
    ]


def _outcome(made: Outcome, model: str) -> dict[str, Json]:
    return {
        "number": made.number,
        "certificate": made.certificate,
        "gallery": made.gallery,
        "query_version": f"{model}@{made.query_version}",
        "gallery_version": f"{model}@{made.gallery_version}",
        "verdict": made.verdict,
        "at": made.at.isoformat(),
        "by": made.by,
    }


def _attempts(made: Sequence[Outcome], model: str) -> RenderableType:
    if not made:
        return "no attempt was made on these queries yet"
    rows = [
        (
            one.number,
            f"{one.at:%Y-%m-%d %H:%M}",
            one.by,
            f"{model}@{one.query_version} -> {model}@{one.gallery_version} in {one.gallery}",
            one.verdict,
            short(one.certificate),
        )
        for one in made
    ]
    columns = ("#attempt", "at (UTC)", "by", "queries -> gallery", "verdict", "certificate")
    return table("attempts on these queries", columns, rows)
