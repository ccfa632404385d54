"""``samespace gallery erasures``."""

from __future__ import annotations

import click

from cli.erasures import as_data
from cli.options import Session, pass_session, session_options
from cli.output import table


@click.command()
@click.argument("name")
@click.argument("item", required=False)
@session_options
@pass_session
def erasures(session: Session, name: str, item: str | None) -> int:
    """Show the ledger of what was erased from the gallery NAME, or only where ITEM was.

    It keeps no ids: an ITEM is looked for by its salted digest.

    \b
    Example:
      samespace gallery erasures shop
      samespace gallery erasures shop sku-17
    """
    with session.open() as registry:
        entries = registry.galleries.erasures(name)
        left = registry.galleries.resume_erasure(name, dry_run=True)
    if item is not None:
        entries = tuple(entry for entry in entries if entry.names(item))
    rows = [
        (
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.actor,
            entry.reason,
            entry.n_items,
            sum(s.n_rows + s.n_hidden for s in entry.segments),
            sum(e.n_queries + e.n_hits for e in entry.evidence),
            sum(p.n_queries + p.n_items for p in entry.probes),
        )
        for entry in entries
    ]
    what = "nothing" if item is None else f"nothing named {item!r}"
    columns = ("at (UTC)", "by", "why", "#items", "#rows", "#places in evidence", "#in probe sets")
    is_open = bool(left) and bool(entries)
    return session.output.result(
        {"gallery": name, "erasures": [as_data(e) for e in entries], "unremoved": list(left)},
        table("", columns, rows) if rows else f"{what} was erased from {name!r}",
        f"NOT DONE: {len(left)} old files are still there: samespace gallery erase {name} --resume"
        if is_open
        else "",
    )
