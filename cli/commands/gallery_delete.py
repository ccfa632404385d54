"""``samespace gallery delete``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.item_ids import parse_ids
from cli.options import (
    INPUT_FILE,
    Session,
    confirm,
    dry_run_option,
    pass_session,
    session_options,
)

if TYPE_CHECKING:
    from registry.arrays import LabelArray
    from registry.domain.galleries import IdType


@click.command()
@click.argument("name")
@click.argument("items", nargs=-1)
@click.option("--ids", type=INPUT_FILE, help="Ids from a file: .npy, .txt, .csv or .parquet.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@session_options
@pass_session
def delete(
    session: Session,
    name: str,
    items: tuple[str, ...],
    ids: Path | None,
    yes: bool,
    dry_run: bool,
) -> int:
    """Delete ITEMS from the gallery NAME: no search finds them any more.

    Their vectors stay in the files until the segment is rewritten.

    \b
    Example:
      samespace gallery delete shop sku-17 sku-99 --yes
    """
    if bool(items) == (ids is not None):
        raise click.UsageError("give either ITEMS or --ids FILE")
    with session.open() as registry:
        wanted = _wanted(registry.galleries.get(name).id_type, items, ids)
        n_found = registry.galleries.check_delete(name, wanted)
        if dry_run:
            return session.output.result(
                {"n_deleted": 0, "dry_run": True}, f"would delete {n_found} items"
            )
        confirm(f"delete {n_found} items from {name!r}?", is_confirmed=yes)
        n_deleted = registry.galleries.delete(name, wanted)
    return session.output.result(
        {"gallery": name, "n_deleted": n_deleted}, f"deleted {n_deleted} items from {name!r}"
    )


def _wanted(id_type: IdType | None, items: tuple[str, ...], ids: Path | None) -> LabelArray:
    from registry.domain.galleries import IdType
    from registry.vector_files import read_ids

    if ids is not None:
        return read_ids(ids, as_text=id_type is IdType.STRING)
    return parse_ids(id_type, items)
