"""``samespace gallery add``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.inputs import Reader, check_directions, check_maker, one_of
from cli.options import (
    INPUT_FILE,
    Session,
    dry_run_option,
    pass_session,
    session_options,
    trust_space_option,
)

if TYPE_CHECKING:
    from registry.service.additions import Added
    from registry.service.upserts import Upserted


@click.command()
@click.argument("name")
@click.option("--vectors", type=INPUT_FILE, help="Vectors: .npy, .npz, .parquet or .arrow.")
@click.option("--ids", type=INPUT_FILE, help="Ids of the rows: .npy, .txt, .csv or .parquet.")
@click.option("--data", type=INPUT_FILE, help="Raw data to embed: .npz with inputs and ids.")
@click.option("--version", help="Which version made the vectors; default the one that writes.")
@click.option("--factory", metavar="MODULE:NAME", help="Builds your own backbone, with --data.")
@click.option("--convert", is_flag=True, help="Convert vectors to contiguous float32.")
@click.option(
    "--upsert", is_flag=True, help="Let items that are there already get the new vectors."
)
@trust_space_option
@dry_run_option
@session_options
@pass_session
def add(
    session: Session,
    name: str,
    vectors: Path | None,
    ids: Path | None,
    data: Path | None,
    version: str | None,
    factory: str | None,
    convert: bool,
    upsert: bool,
    trust_space: bool,
    dry_run: bool,
) -> int:
    """Add items to the gallery NAME: vectors from a file, or raw data embedded here.

    Either all items are added or none. Ids are whole numbers or strings; without any, rows are
    numbered from 0.

    An id that is there already is refused; with --upsert its new vector supersedes the old one in
    the same commit. The version in force supersedes every other, of the others the later one the
    earlier, and the other way round is refused. The old vectors are deleted, not erased.

    \b
    Example:
      samespace gallery add shop --vectors v.npy --ids ids.txt
      samespace gallery add shop --data images.npz
      samespace gallery add shop --vectors changed.npy --ids changed.txt --upsert
    """
    one_of(vectors, data)
    if data is not None and ids is not None:
        raise click.UsageError("--ids goes with --vectors; --data has an array 'ids' of its own")
    with session.open() as registry:
        state = registry.galleries.state(name)
        writer = f"{state.gallery.model}@{state.serving.write_versions[0]}"
        made_by = registry.models.get(version or writer)
        id_type = state.gallery.id_type
        reader = Reader(registry, factory, convert, session.as_json, id_type)
        rows = reader.either(made_by, vectors, data, ids)
        if version is None:
            check_maker(registry, name, rows)
        check_directions(state.gallery.metric, rows)
        items = rows.embeddings
        galleries = registry.galleries
        if upsert:
            step = galleries.check_upsert if dry_run else galleries.upsert
            done = step(name, items, trust_space=trust_space)
            return _report_upsert(session, done, is_dry_run=dry_run)
        if dry_run:
            galleries.check_add(name, items, trust_space=trust_space)
            return session.output.result(
                {"dry_run": True, "n_items": len(items)},
                f"all checks passed for {len(items)} items of {made_by.ref}; nothing was added",
            )
        added = galleries.add(name, items, trust_space=trust_space)
    return _report(session, added)


def _report_upsert(session: Session, done: Upserted, *, is_dry_run: bool) -> int:
    what = f"{done.n_new} items of {done.version} and "
    would = f"would add {what}supersede the vectors of {done.n_superseded}; nothing was changed"
    did = (
        f"added {what}superseded the vectors of {done.n_superseded} in {done.gallery!r}, "
        f"which holds {done.n_items_after} now"
    )
    return session.output.result(
        {
            "gallery": done.gallery,
            "segment": done.segment,
            "version": str(done.version),
            "n_added": done.n_new,
            "n_superseded": done.n_superseded,
            "n_items": done.n_items_after,
            "dry_run": is_dry_run,
        },
        would if is_dry_run else did,
    )


def _report(session: Session, added: Added) -> int:
    return session.output.result(
        {
            "gallery": added.gallery,
            "segment": added.segment,
            "version": str(added.version),
            "n_added": added.n_items,
            "n_items": added.n_items_after,
        },
        f"added {added.n_items} items of {added.version} to segment {added.segment} of "
        f"{added.gallery!r}, which holds {added.n_items_after} now",
    )
