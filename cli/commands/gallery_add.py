"""``samespace gallery add``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.inputs import embed_data, one_of, read_embeddings
from cli.options import INPUT_FILE, Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("name")
@click.option("--vectors", type=INPUT_FILE, help="Vectors: .npy, .npz, .parquet or .arrow.")
@click.option("--ids", type=INPUT_FILE, help="Ids of the rows: .npy, .txt, .csv or .parquet.")
@click.option("--data", type=INPUT_FILE, help="Raw data to embed: .npz with inputs and ids.")
@click.option("--version", help="Which version made the vectors; default the one that writes.")
@click.option("--factory", metavar="MODULE:NAME", help="Builds your own backbone, with --data.")
@click.option("--convert", is_flag=True, help="Convert vectors to contiguous float32.")
@click.option(
    "--trust-space",
    is_flag=True,
    help="Add even if the vectors look like another model's than those that are there.",
)
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
    trust_space: bool,
    dry_run: bool,
) -> int:
    """Add items to the gallery NAME: vectors from a file, or raw data embedded here.

    Either all items are added or none. Ids are whole numbers or strings; without any, rows are
    numbered from 0.

    \b
    Example:
      samespace gallery add shop --vectors v.npy --ids ids.txt
      samespace gallery add shop --data images.npz
    """
    one_of(vectors, data)
    if data is not None and ids is not None:
        raise click.UsageError("--ids goes with --vectors; --data has an array 'ids' of its own")
    with session.open() as registry:
        state = registry.galleries.state(name)
        writer = f"{state.gallery.model}@{state.serving.write_versions[0]}"
        made_by = registry.models.get(version or writer)
        if data is not None:
            quiet = session.as_json
            rows = embed_data(registry, made_by, data, factory=factory, quiet=quiet)
        else:
            rows = read_embeddings(made_by, Path(str(vectors)), ids, convert=convert)
        items = rows.embeddings
        if dry_run:
            registry.galleries.check_add(name, items, trust_space=trust_space)
            return session.output.result(
                {"dry_run": True, "n_items": len(items)},
                f"all checks passed for {len(items)} items of {made_by.ref}; nothing was added",
            )
        added = registry.galleries.add(name, items, trust_space=trust_space)
    return session.output.result(
        {
            "gallery": name,
            "segment": added.segment,
            "version": str(added.version),
            "n_added": added.n_items,
            "n_items": added.n_items_after,
        },
        f"added {added.n_items} items of {added.version} to segment {added.segment} of {name!r}, "
        f"which holds {added.n_items_after} now",
    )
