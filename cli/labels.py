"""Labels that a command gets, and whether rows of several files belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from compat.probes import Labels
    from registry import Registry
    from registry.arrays import LabelArray

    from .inputs import Rows


def item_labels(path: Path) -> Labels:
    """Read the labels of a gallery's items, by id."""
    from compat.probes import Labels
    from registry.errors import InvalidInputError
    from registry.vector_files import read_labels

    found = read_labels(path)
    if found.ids is None:
        raise InvalidInputError(
            f"{path} has labels but no ids", hint="give a table with the columns id and label"
        )
    return Labels(found.ids, found.labels, found.groups)


def check_numbered(registry: Registry, gallery: str, rows: Rows) -> None:
    """Refuse rows without ids, unless the gallery's own items are numbered by row too."""
    from registry.errors import InvalidInputError

    if rows.is_named:
        return
    for version in registry.galleries.get(gallery).versions():
        readers = registry.galleries.readers(gallery, version)
        live = [(reader.take_ids(reader.live_positions()), reader) for reader in readers]
        if len(live) != 1 or (live[0][0] != live[0][1].live_positions()).any():
            raise InvalidInputError(
                f"{rows.source} does not name its rows, but the items of {gallery!r} have ids",
                hint="give --reembedded-ids FILE, or a file with ids",
            )


def query_labels(path: Path | None, queries: tuple[Rows, ...]) -> Labels:
    """Read the queries' labels; every file that names the rows must name the same ones."""
    from compat.probes import Labels
    from registry.errors import InvalidInputError
    from registry.galleries.probe_files import numbered
    from registry.vector_files import read_labels

    if path is None:
        raise click.UsageError("the queries need labels: give --labels FILE")
    found = read_labels(path)
    n = len(queries[0].embeddings)
    if len(found.labels) != n:
        raise InvalidInputError(
            f"{path} labels {len(found.labels)} queries, but there are {n}",
            hint="rows of vectors and of labels must belong together",
        )
    names = names_of(queries)
    if found.ids is not None:
        names[str(path)] = found.ids
    check_same_rows(names)
    ids = next(iter(names.values())) if names else numbered(n)
    return Labels(ids, found.labels, found.groups)


def are_numbered(asked: Labels) -> bool:
    """Return whether no file named the queries."""
    from registry.galleries.probe_files import is_numbered

    return is_numbered(asked.ids)


def judged_queries(path: Path, ids: Path | None, queries: tuple[Rows, ...]) -> Labels:
    """Read judgements of the queries, whose rows must be named by a file."""
    from compat.probes import Labels
    from compat.qrel_files import read_qrels
    from registry.errors import InvalidInputError
    from registry.vector_files import read_ids

    qrels = read_qrels(path)
    names = names_of(queries)
    if ids is not None:
        names[str(ids)] = read_ids(ids, as_text=True)
    if not names:
        raise InvalidInputError(
            f"{path} judges queries by id, but no file names the rows of the query vectors",
            hint="give --query-ids FILE, or vectors with ids",
        )
    for source, found in names.items():
        if len(found) != len(queries[0].embeddings):
            raise InvalidInputError(
                f"{source} names {len(found)} queries, but there are {len(queries[0].embeddings)}",
                hint="rows of vectors and of ids must belong together",
            )
    check_same_rows(names)
    return Labels.judged(next(iter(names.values())), qrels)


def names_of(queries: Iterable[Rows]) -> dict[str, LabelArray]:
    """Return the names that files give to their rows, by file."""
    return {str(rows.source): rows.embeddings.ids for rows in queries if rows.is_named}


def check_same_rows(names: Mapping[str, LabelArray]) -> None:
    """Refuse files, or whatever else names rows, that name some row differently."""
    from registry.errors import InvalidInputError

    for (first, expected), (other, found) in pairwise(names.items()):
        rows = zip(expected.tolist(), found.tolist(), strict=False)  # their number is checked later
        row, pair = next(((i, p) for i, p in enumerate(rows) if str(p[0]) != str(p[1])), (0, None))
        if pair is not None:
            raise InvalidInputError(
                f"{first} and {other} name row {row} differently: {pair[0]!r} and {pair[1]!r}",
                hint="rows of vectors and of labels must belong together: sort all by one order",
            )
