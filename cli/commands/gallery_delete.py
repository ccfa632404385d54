"""``samespace gallery delete``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.item_ids import read_item_ids
from cli.options import (
    INPUT_FILE,
    Session,
    confirm,
    dry_run_option,
    pass_session,
    session_options,
)


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

    Their vectors stay in the files until the gallery is compacted, or until they are erased, which
    can be done afterwards too.

    \b
    Example:
      samespace gallery delete shop sku-17 sku-99 --yes
    """
    with session.open() as registry:
        wanted = read_item_ids(registry.galleries.get(name).id_type, items, ids)
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
