"""Items that a command names: on the command line, or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from registry.arrays import LabelArray
    from registry.domain.galleries import IdType


def read_item_ids(id_type: IdType | None, items: tuple[str, ...], ids: Path | None) -> LabelArray:
    """Return the named items' ids, of the type that a gallery uses.

    Raises:
        click.UsageError: if they are given in both ways or in none.
        click.BadParameter: as `parse_ids`.
    """
    from registry.domain.galleries import IdType
    from registry.vector_files import read_ids

    if bool(items) == (ids is not None):
        raise click.UsageError("give either ITEMS or --ids FILE")
    if ids is not None:
        return read_ids(ids, as_text=id_type is IdType.STRING)
    return parse_ids(id_type, items)


def parse_ids(id_type: IdType | None, items: Sequence[str]) -> LabelArray:
    """Return ids in the type by which a gallery names its items.

    Raises:
        click.BadParameter: if it names them by whole numbers and one is none.
    """
    import numpy as np

    from registry.domain.galleries import IdType

    if id_type is IdType.INT64:
        return np.array([_whole(item) for item in items], dtype=np.int64)
    return np.array(items, dtype=object)


def _whole(item: str) -> int:
    try:
        return int(item)
    except ValueError:
        raise click.BadParameter(f"{item!r}: this gallery names items by whole numbers") from None
