"""``samespace gallery list``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import table


@click.command("list")
@session_options
@pass_session
def list_galleries(session: Session) -> int:
    """List the galleries."""
    with session.open() as registry:
        states = [registry.galleries.state(g.name) for g in registry.galleries.list()]
    data = [
        {
            "gallery": s.gallery.name,
            "n_items": s.gallery.n_items,
            "metric": s.gallery.metric.value,
            "index": s.gallery.index.factory,
            "query_version": str(s.query_version.ref),
            "versions": [str(v) for v in s.gallery.versions()],
        }
        for s in states
    ]
    rows = [
        (
            d["gallery"],
            d["n_items"],
            d["metric"],
            d["index"],
            d["query_version"],
            ", ".join(str(v) for v in s.gallery.versions()) or "–",
        )
        for d, s in zip(data, states, strict=True)
    ]
    columns = ("gallery", "#items", "metric", "index", "queried by", "holds vectors of")
    shown = table("", columns, rows) if rows else "there is no gallery yet"
    return session.output.result({"galleries": data}, shown)
