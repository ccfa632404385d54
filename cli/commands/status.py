"""``samespace status``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from cli.options import Session, pass_session, session_options
from cli.output import short, table


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
    data = [
        {
            "gallery": s.gallery.name,
            "query_version": str(s.query_version.ref),
            "write_versions": [f"{s.gallery.model}@{n}" for n in s.serving.write_versions],
            "items": {
                str(v): sum(x.n_items for x in s.gallery.segments if x.version == v)
                for v in s.gallery.versions()
            },
            "excluded": [f"{s.gallery.model}@{n}" for n in s.serving.excluded],
        }
        for s in states
    ]
    claims = [
        {
            "digest": c.certificate.digest,
            "gallery": c.certificate.gallery,
            "query_version": str(c.certificate.query_version),
            "gallery_version": str(c.certificate.gallery_version),
            "verdict": c.certificate.verdict.value,
            "state": c.staleness or "live",
            "expires_at": c.certificate.expires_at.isoformat(),
        }
        for c in certificates
    ]
    rows = [
        (
            d["gallery"],
            d["query_version"],
            ", ".join(f"{s.gallery.model}@{n}" for n in s.serving.write_versions),
            ", ".join(f"{s_n} of {v}" for v, s_n in _items(d)) or "nothing",
        )
        for d, s in zip(data, states, strict=True)
    ]
    columns = ("certificate", "gallery", "queries of", "on vectors of", "verdict", "state")
    return session.output.result(
        {"galleries": data, "certificates": claims},
        table("", ("gallery", "queried by", "written by", "holds"), rows)
        if rows
        else "there is no gallery yet",
        table("", columns, [(short(str(c["digest"])), *list(c.values())[1:6]) for c in claims])
        if claims
        else "",
    )


def _items(row: Mapping[str, object]) -> list[tuple[str, int]]:
    items = row["items"]
    return list(items.items()) if isinstance(items, dict) else []
