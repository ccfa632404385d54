"""Item ids that are written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from registry.arrays import LabelArray
    from registry.domain.galleries import IdType


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
