"""``samespace gallery erase``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.erasures import as_data, places
from cli.item_ids import read_item_ids
from cli.options import (
    INPUT_FILE,
    Session,
    confirm,
    dry_run_option,
    pass_session,
    session_options,
)
from cli.output import count_stored

if TYPE_CHECKING:
    from registry import Registry


@click.command()
@click.argument("name")
@click.argument("items", nargs=-1)
@click.option("--ids", type=INPUT_FILE, help="Ids from a file: .npy, .txt, .csv or .parquet.")
@click.option("--reason", help="Why, for the ledger; it stays for ever and must not name anybody.")
@click.option("--resume", is_flag=True, help="Remove old files that an erasure could not remove.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@session_options
@pass_session
def erase(
    session: Session,
    name: str,
    items: tuple[str, ...],
    ids: Path | None,
    reason: str | None,
    resume: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Erase ITEMS from the gallery NAME: no file of the registry holds them any more.

    Their ids and vectors leave every segment, with vectors that were deleted or superseded before,
    every index, the evidence of every certificate, and every registered probe set. The ledger
    ('gallery erasures') keeps when, by whom, why and where, and of the ids only salted digests.
    What was exported, copied or backed up is beyond its reach, and so is what a model learnt from
    them.

    It ends well only when the old files are gone. If that failed, or was interrupted, 'doctor' says
    so and --resume goes on.

    \b
    Example:
      samespace gallery erase shop sku-17 --reason "request 2041" --dry-run
      samespace gallery erase shop sku-17 --reason "request 2041" --yes
      samespace gallery erase shop --resume
    """
    if resume:
        if items or ids is not None or reason is not None:
            raise click.UsageError("--resume goes on with what was begun: give NAME only")
        return _resume(session, name, dry_run=dry_run)
    if reason is None:
        raise click.UsageError('an erasure needs a reason: --reason "why"')
    with session.open() as registry:
        galleries = registry.galleries
        wanted = read_item_ids(galleries.get(name).id_type, items, ids)
        plan = galleries.check_erase(name, wanted, reason)
        if dry_run:
            return session.output.result(
                {"dry_run": True, **as_data(plan)},
                f"would erase {plan.n_items} items from {name!r}",
                places(plan),
            )
        confirm(f"erase {plan.n_items} items from {name!r} for good?", is_confirmed=yes)
        done = galleries.erase(name, wanted, reason)
        unnamed = _unnamed(registry, name)
    return session.output.result(
        {"dry_run": False, **as_data(done.entry), "removed": list(done.removed)},
        f"erased {done.entry.n_items} items from {name!r}",
        places(done.entry),
        f"removed {count_stored(done.removed)}",
        unnamed,
    )


def _resume(session: Session, name: str, *, dry_run: bool) -> int:
    with session.open() as registry:
        removed = registry.galleries.resume_erasure(name, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    return session.output.result(
        {"gallery": name, "removed": list(removed), "dry_run": dry_run},
        f"{verb} {count_stored(removed)} that may hold erased items",
    )


def _unnamed(registry: Registry, name: str) -> str:
    """Say what may hold the items, but belongs to no gallery: nobody can tell whose it is."""
    folders = (f"galleries/{name}/", f"certificates/{name}/", f"probes/{name}/")
    found = [p for p in registry.galleries.litter(older_than_hours=0) if p.startswith(folders)]
    if not found:
        return ""
    return (
        f"note: {count_stored(found)} that nothing names, left by interrupted commands or about to "
        "be named, may hold them too: samespace gallery prune"
    )
