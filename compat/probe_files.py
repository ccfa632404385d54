"""The questions of a registered probe set, and the file that keeps them: names, no vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from registry.arrays import LabelArray
from registry.arrow_columns import id_column
from registry.domain.probe_sets import ProbeFacts, ProbeKind
from registry.errors import CorruptFileError, InvalidInputError, in_one_line
from registry.galleries.probe_files import (
    GAIN,
    GROUP,
    ITEM,
    ITEM_LABEL,
    JUDGED_ITEM,
    JUDGED_QUERY,
    LABEL,
    QUERY,
    digest_columns,
    read_columns,
    write_columns,
)

from .attempts import digest_questions
from .evaluation.qrels import Qrels
from .probes import Labels


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What is asked, and what says which items are relevant.

    Attributes:
        queries: ids, labels and groups of the queries, or their judgements.
        items: labels of the gallery's items, by id; None if the queries carry judgements.
    """

    queries: Labels
    items: Labels | None

    def __post_init__(self) -> None:
        if (self.items is None) == (self.queries.qrels is None):
            raise InvalidInputError(
                "questions have either labels of the gallery's items or judgements of the queries",
                hint="give the one of them that says which items are relevant",
            )


def facts_of(questions: Questions) -> ProbeFacts:
    """Return what the registry keeps of questions beside their file."""
    return ProbeFacts(
        ProbeKind.LABELS if questions.items is not None else ProbeKind.JUDGEMENTS,
        len(questions.queries.ids),
        digest_content(questions),
        digest_questions(questions.queries),
    )


def digest_content(questions: Questions) -> str:
    """Return the SHA-256 of all that is asked, as text, so that 17 and "17" are one.

    Queries count in their order, which rows of vectors follow; items and judgements in any.
    """
    return digest_columns(_columns(questions))


def _columns(questions: Questions) -> dict[str, LabelArray]:
    asked, items, qrels = questions.queries, questions.items, questions.queries.qrels
    columns: dict[str, LabelArray] = {QUERY: asked.ids, LABEL: asked.labels}
    if asked.groups is not None:
        columns[GROUP] = asked.groups
    if items is not None:
        columns |= {ITEM: items.ids, ITEM_LABEL: items.labels}
    if qrels is not None:
        columns |= {
            JUDGED_QUERY: qrels.query_ids,
            JUDGED_ITEM: qrels.item_ids,
            GAIN: qrels.gains.astype(np.float64),
        }
    return columns


def write_questions(questions: Questions) -> bytes:
    """Return the bytes of a probe set's file. Numbers stay numbers.

    Raises:
        InvalidInputError: if a name is not valid Unicode.
    """
    return write_columns({name: _names(column) for name, column in _columns(questions).items()})


def _names(values: LabelArray) -> Any:
    return pa.array(values) if values.dtype.kind in "iuf" else id_column(values.astype(str))


def read_questions(data: bytes, name: str) -> Questions:
    """Read what `write_questions` wrote; the bytes are known to be those that were registered.

    Args:
        data: the bytes.
        name: what the set is called, for messages.

    Raises:
        CorruptFileError: if it is no such file, or one of a later samespace.
    """
    columns = read_columns(data, name)
    try:
        return _questions({c: v.to_numpy(zero_copy_only=False) for c, v in columns.items()})
    except (KeyError, ValueError) as error:
        raise CorruptFileError(f"{name} holds no questions: {in_one_line(error)}") from error


def _questions(columns: dict[str, LabelArray]) -> Questions:
    qrels = None
    if GAIN in columns:
        judged = columns[JUDGED_QUERY], columns[JUDGED_ITEM], columns[GAIN]
        qrels = Qrels(*judged)
    queries = Labels(columns[QUERY], columns[LABEL], columns.get(GROUP), qrels)
    items = None if qrels is not None else Labels(columns[ITEM], columns[ITEM_LABEL])
    return Questions(queries, items)
