"""What a command asks: questions from files, or from a registered probe set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .labels import check_same_rows, item_labels, judged_queries, names_of, query_labels

if TYPE_CHECKING:
    from compat.probe_files import Questions
    from compat.probes import Labels
    from registry import Registry
    from registry.arrays import LabelArray
    from registry.domain.canonical import Json
    from registry.domain.probe_sets import ProbeSet

    from .inputs import Rows

_WHAT = "what is relevant? give --gallery-labels FILE, or --qrels FILE"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Attributes:
        questions: queries, and what is relevant to them.
        probe_set: the registered set that they are, or None if they came from files.
    """

    questions: Questions
    probe_set: ProbeSet | None = None


@dataclass(frozen=True, slots=True)
class AskedFiles:
    """Where a command is told what to ask: one registered set, or several files.

    Attributes:
        probe_set: name of the registered set.
        labels: labels of the query rows.
        data: raw queries, perhaps with their labels.
        gallery_labels: labels of the gallery's items, by id.
        qrels: judgements instead of labels on both sides.
        query_ids: ids of the query rows, with judgements.
    """

    probe_set: str | None
    labels: Path | None
    data: Path | None
    gallery_labels: Path | None
    qrels: Path | None
    query_ids: Path | None

    def check(self) -> None:
        """Refuse options that do not go together."""
        by_label = self.labels is not None or self.gallery_labels is not None
        if self.probe_set is not None:
            if by_label or self.qrels is not None or self.query_ids is not None:
                raise click.UsageError(
                    "--probe NAME has its own labels or judgements: give it without such files"
                )
            return
        if self.qrels is not None and by_label:
            raise click.UsageError("give either --qrels FILE or --labels and --gallery-labels")
        if self.qrels is None and self.query_ids is not None:
            raise click.UsageError("--query-ids FILE goes with --qrels FILE")
        if self.qrels is None and self.gallery_labels is None:
            raise click.UsageError(f"{_WHAT}, or a registered set: --probe NAME")

    def open(self, registry: Registry, gallery: str) -> Callable[[tuple[Rows, ...]], Asked]:
        """Read a registered set, before anything is embedded, and return what asks given rows.

        What is returned takes rows of query vectors, which all must be the same queries.
        """
        if self.probe_set is None:
            return self._by_files
        from compat.workflow.probe_sets import questions_for

        found, questions = questions_for(registry, self.probe_set, gallery)

        def ask(queries: tuple[Rows, ...]) -> Asked:
            _check_rows(found.name, questions.queries.ids, queries)
            return Asked(questions, found)

        return ask

    def _by_files(self, queries: tuple[Rows, ...]) -> Asked:
        from compat.probe_files import Questions

        if self.qrels is not None:
            return Asked(Questions(judged_queries(self.qrels, self.query_ids, queries), None))
        items = item_labels(Path(str(self.gallery_labels)))
        return Asked(Questions(query_labels(self.labels or self.data, queries), items))


def _check_rows(name: str, ids: LabelArray, queries: tuple[Rows, ...]) -> None:
    """Refuse rows that are not the queries of a registered set, in its order."""
    from registry.errors import InvalidInputError
    from registry.galleries.probe_files import is_numbered

    for rows in queries:
        if len(rows.embeddings) != len(ids):
            raise InvalidInputError(
                f"{rows.source} holds {len(rows.embeddings)} queries, but probe set {name!r} has "
                f"{len(ids)}",
                hint="embed all of its queries, in its order",
            )
    names = names_of(queries)
    if names and is_numbered(ids):
        raise InvalidInputError(
            f"{next(iter(names))} names its rows, but probe set {name!r} was registered without "
            "ids of its queries",
            hint="register it under a new name with them: --query-ids FILE",
        )
    for source, found in names.items():
        check_same_rows({f"probe set {name!r}": ids, source: found})


def given_questions(
    labels: Path | None, gallery_labels: Path | None, qrels: Path | None, query_ids: Path | None
) -> Questions:
    """Read the questions to register, for which no vectors are needed."""
    from compat.probe_files import Questions

    if (labels is None) == (qrels is None):
        raise click.UsageError("give either --labels and --gallery-labels, or --qrels FILE")
    if labels is not None:
        if gallery_labels is None:
            raise click.UsageError(_WHAT)
        return Questions(_labelled(labels, query_ids), item_labels(gallery_labels))
    if gallery_labels is not None:
        raise click.UsageError("give either --qrels FILE or --labels and --gallery-labels")
    if query_ids is None:
        raise click.UsageError("--qrels FILE judges queries by id: give their order, --query-ids")
    return Questions(_judged(Path(str(qrels)), query_ids), None)


def _labelled(path: Path, query_ids: Path | None) -> Labels:
    from compat.probes import Labels
    from registry.errors import InvalidInputError
    from registry.galleries.probe_files import numbered
    from registry.vector_files import read_ids, read_labels

    found = read_labels(path)
    names = {} if found.ids is None else {str(path): found.ids}
    if query_ids is not None:
        names[str(query_ids)] = read_ids(query_ids)
    for source, ids in names.items():
        if len(ids) != len(found.labels):
            raise InvalidInputError(
                f"{source} names {len(ids)} queries, but {path} labels {len(found.labels)}",
                hint="rows of ids and of labels must belong together",
            )
    check_same_rows(names)
    ids = next(iter(names.values())) if names else numbered(len(found.labels))
    return Labels(ids, found.labels, found.groups)


def _judged(path: Path, query_ids: Path) -> Labels:
    from compat.probes import Labels
    from compat.qrel_files import read_qrels
    from registry.vector_files import read_ids

    return Labels.judged(read_ids(query_ids, as_text=True), read_qrels(path))


def as_data(found: ProbeSet) -> dict[str, Json]:
    """Return what is known of a registered set as JSON values."""
    return {
        "probe_set": found.name,
        "gallery": found.gallery,
        "kind": found.facts.kind.value,
        "n_queries": found.facts.n_queries,
        "digest": found.facts.digest,
        "questions": found.facts.questions,
        "file": found.file.path,
        "registered_at": found.registered_at.isoformat(),
        "registered_by": found.registered_by,
    }
