"""``samespace status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.certificates import claim
from cli.options import Session, pass_session, session_options
from cli.output import short, table

if TYPE_CHECKING:
    from registry.service.views import GalleryState


@click.command()
@click.argument("gallery", required=False)
@session_options
@pass_session
def status(session: Session, gallery: str | None) -> int:
    """Show what serves: query and write versions, what is held, and which certificates hold."""
    with session.open() as registry:
        names = [gallery] if gallery else [g.name for g in registry.galleries.list()]
        states = [registry.galleries.state(name) for name in names]
        certificates = [c for name in names for c in registry.certificates.of_gallery(name)]
        seals = [registry.integrity.sealed(name) for name in names]
    served = [{**_served(state), "promotion": s} for state, s in zip(states, seals, strict=True)]
    claims = [claim(found) for found in certificates]
    rows = [
        (
            d["gallery"],
            d["query_version"],
            ", ".join(d["write_versions"]),
            ", ".join(f"{n} of {v}" for v, n in d["items"].items()) or "nothing",
            ", ".join(d["excluded"]),
            d["promotion"],
        )
        for d in served
    ]
    held = ("gallery", "queried by", "written by", "holds", "hidden", "promotion")
    columns = ("certificate", "gallery", "queries of", "on vectors of", "verdict", "state")
    shown = [(short(c["digest"]), *list(c.values())[1:6]) for c in claims]
    return session.output.result(
        {"galleries": served, "certificates": claims},
        table("", held, rows) if rows else "there is no gallery yet",
        table("", columns, shown) if shown else "",
    )


def _served(state: GalleryState) -> dict[str, Any]:
    gallery, serving = state.gallery, state.serving
    return {
        "gallery": gallery.name,
        "query_version": str(state.query_version.ref),
        "write_versions": [f"{gallery.model}@{n}" for n in serving.write_versions],
        "items": {
            str(v): sum(s.n_items for s in gallery.segments if s.version == v)
            for v in gallery.versions()
        },
        "excluded": [f"{gallery.model}@{n}" for n in serving.excluded],
    }
