"""``samespace gallery show``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import short, table


@click.command()
@click.argument("name")
@session_options
@pass_session
def show(session: Session, name: str) -> int:
    """Show the segments of the gallery NAME, with the digest of every file."""
    with session.open() as registry:
        state = registry.galleries.state(name)
    gallery, serving = state.gallery, state.serving
    files = [
        {"path": file.path, "sha256": file.digest, "bytes": file.n_bytes}
        for segment in gallery.segments
        for file in (*(p.file for p in segment.parts), *((segment.index,) if segment.index else ()))
    ]
    segments = [
        {
            "segment": s.number,
            "version": str(s.version),
            "state": s.state.value,
            "n_items": s.n_items,
            "n_deleted": s.n_deleted,
            "n_parts": len(s.parts),
        }
        for s in gallery.segments
    ]
    return session.output.result(
        {
            "gallery": name,
            "metric": gallery.metric.value,
            "index": gallery.index.factory,
            "n_items": gallery.n_items,
            "query_version": str(state.query_version.ref),
            "write_versions": [f"{gallery.model}@{n}" for n in serving.write_versions],
            "segments": segments,
            "files": files,
        },
        f"{name}: {gallery.n_items} items, {gallery.metric}, {gallery.index.backend} "
        f"{gallery.index.factory}, queried by {state.query_version.ref}",
        table(
            "",
            ("segment", "version", "state", "#items", "#deleted", "#parts"),
            [tuple(s.values()) for s in segments],
        ),
        table("", ("file", "sha256", "#bytes"), [_file(f) for f in files]),
    )


def _file(file: dict[str, object]) -> tuple[object, ...]:
    return file["path"], short(str(file["sha256"])), file["bytes"]
