"""What a candidate was trained on, from files: the options, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .inputs import Reader, said_of
from .labels import are_numbered
from .options import INPUT_FILE, CommandT, Session, TrainingFiles

if TYPE_CHECKING:
    from compat.leakage import TrainingItems
    from compat.probes import Labels, Probe
    from registry import Embeddings, ModelVersion
    from registry.arrays import LabelArray
    from registry.vector_files import VectorTable


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    name = str(param.name).removeprefix("training_")
    setattr(ctx.ensure_object(Session).training, name, value)


def _option(flag: str, text: str, *, multiple: bool = False) -> Callable[[CommandT], CommandT]:
    return click.option(
        flag, type=INPUT_FILE, multiple=multiple, expose_value=False, callback=_keep, help=text
    )


def training_options(command: CommandT) -> CommandT:
    """Add --training-vectors, -ids, -data and -labels; `Session` keeps what they say."""
    vectors = _option(
        "--training-vectors",
        "What VERSION was trained on, embedded by it, to look for the queries in; again for more.",
        multiple=True,
    )
    data = _option(
        "--training-data",
        "The same, raw: .npz, to embed with VERSION; again for more.",
        multiple=True,
    )
    ids = _option("--training-ids", "Ids of what VERSION was trained on, with vectors or alone.")
    labels = _option(
        "--training-labels", "Classes that VERSION was trained on; default: by its training record."
    )
    return vectors(data(ids(labels(command))))


def check_training(files: TrainingFiles, *, has_judgements: bool) -> None:
    """Refuse options that do not go together, before anything is read."""
    if files.vectors and files.data:
        raise click.UsageError("give either --training-vectors FILE or --training-data FILE")
    if files.labels is not None and has_judgements:
        raise click.UsageError("--training-labels FILE goes with --labels FILE, not with --qrels")


def read_training(
    reader: Reader, files: TrainingFiles, version: ModelVersion, probe: Probe, *, trust_space: bool
) -> TrainingItems | None:
    """Read what a candidate was trained on, if any of it is given.

    Args:
        reader: reads files.
        files: what was given.
        version: the candidate.
        probe: the queries, embedded by it too.
        trust_space: whether vectors are taken though they do not look like those of the queries.

    Raises:
        SpaceMismatchError: if vectors are, or look like, those of another space.
        InvalidInputError: if a file breaks a rule, or names items while nobody named the queries.
    """
    from compat.leakage import TrainingItems
    from registry.vector_files import read_labels

    if files == TrainingFiles():
        return None
    asked = probe.queries
    tables = [reader.table(version, path) for path in files.vectors]
    tables += [_embedded(reader, version, path) for path in files.data]
    classes = _classes_in(files.data) if asked.qrels is None else None
    if files.labels is not None:
        classes = read_labels(files.labels).labels
    ids = _ids(files, tables, asked)
    with said_of(files.ids or next(iter(files.vectors + files.data), Path("training data"))):
        items = TrainingItems(
            ids,
            [table.vectors for table in tables],
            version.fingerprint if tables else "",
            classes,
            _is_recorded(version, files.data),
        )
    if not trust_space:
        _check_looks(files.vectors, tables, probe.vectors_of(version.ref))
    return items


def _embedded(reader: Reader, version: ModelVersion, path: Path) -> VectorTable:
    from registry.vector_files import VectorTable

    rows = reader.data(version, path)
    ids = rows.embeddings.ids if rows.is_named else None
    return VectorTable(ids, rows.embeddings.vectors, version.fingerprint)


def _is_recorded(version: ModelVersion, data: Sequence[Path]) -> bool | None:
    from registry.errors import InvalidInputError

    if not data:
        return None
    from compat.workflow.recorded_data import is_recorded_data

    try:
        return is_recorded_data(version, data)
    except InvalidInputError:  # without labels, say: nothing that samespace was trained on
        return False


def _classes_in(data: Sequence[Path]) -> LabelArray | None:
    """Return the labels of raw data, if all files have some."""
    import numpy as np

    from registry.vector_files import read_labels

    for path in data:
        with np.load(path, allow_pickle=False) as file:
            if "labels" not in file.files:
                return None
    return _joined([read_labels(path).labels for path in data])


def _ids(files: TrainingFiles, tables: Sequence[VectorTable], asked: Labels) -> LabelArray | None:
    from registry.errors import InvalidInputError
    from registry.vector_files import read_ids

    if files.ids is None:
        return None if are_numbered(asked) else _joined([table.ids for table in tables])
    if are_numbered(asked):
        raise InvalidInputError(
            f"{files.ids} names training items, but no file names the queries",
            hint="give query vectors or labels with ids, or leave the training ids out",
        )
    return read_ids(files.ids, as_text=asked.ids.dtype.kind not in "iu")


def _joined(parts: Sequence[LabelArray | None]) -> LabelArray | None:
    """Return names of several files as one row of one kind; None if a file has none."""
    import numpy as np

    given = [part for part in parts if part is not None]
    if not given or len(given) < len(parts):
        return None
    is_number = all(part.dtype.kind in "iu" for part in given)
    return np.concatenate([part if is_number else part.astype(str) for part in given])


def _check_looks(paths: Sequence[Path], tables: Sequence[VectorTable], queries: Embeddings) -> None:
    from compat.leakage import check_look

    for path, table in zip(paths, tables, strict=False):
        if table.fingerprint is None:
            with said_of(path):
                check_look(queries, table.vectors)
