"""``samespace gallery compact``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import Session, dry_run_option, pass_session, session_options
from cli.output import table

if TYPE_CHECKING:
    from registry.service.compaction import Compaction


@click.command()
@click.argument("name")
@click.option(
    "--rebuild-indexes",
    is_flag=True,
    help="Also where an approximate index has to be built again: certificates become stale by it.",
)
@dry_run_option
@session_options
@pass_session
def compact(session: Session, name: str, rebuild_indexes: bool, dry_run: bool) -> int:
    """Make one file of each segment's files in the gallery NAME, without deleted rows.

    Items keep their ids and vectors bit for bit, and certificates stay as they are. A sealed
    segment with an approximate index and deleted rows is left alone unless --rebuild-indexes is
    given, because the index that is built again is another one than was measured.

    \b
    Example:
      samespace gallery compact shop --dry-run
      samespace gallery compact shop
    """
    with session.open() as registry:
        galleries = registry.galleries
        step = galleries.check_compact if dry_run else galleries.compact
        done = step(name, rebuild_indexes=rebuild_indexes)
    return _report(session, done, is_dry_run=dry_run)


def _report(session: Session, done: Compaction, *, is_dry_run: bool) -> int:
    segments = [
        {
            "segment": s.number,
            "n_parts": s.n_parts,
            "n_dropped": s.n_dropped,
            "n_items": s.n_items,
            "bytes": s.n_bytes,
            "bytes_after": s.n_bytes_after,
            "index_rebuilt": s.is_index_rebuilt,
        }
        for s in done.segments
    ]
    verb = "would compact" if is_dry_run else "compacted"
    rows = [(*list(s.values())[:5], "–" if is_dry_run else s["bytes_after"]) for s in segments]
    columns = ("segment", "#parts", "#rows dropped", "#items", "#bytes", "#bytes after")
    kept = ", ".join(map(str, done.kept))
    return session.output.result(
        {
            "gallery": done.gallery,
            "segments": segments,
            "kept": list(done.kept),
            "unremoved": dict(done.left),
            "dry_run": is_dry_run,
        },
        f"{verb} {len(segments)} segments of {done.gallery!r}",
        table("", columns, rows) if rows else "",
        f"left as they are, for their approximate indexes: segments {kept}; --rebuild-indexes "
        "takes them too, and certificates measured on them become stale"
        if kept
        else "",
        f"{len(done.left)} old files could not be removed: samespace gallery prune"
        if done.left
        else "",
    )
