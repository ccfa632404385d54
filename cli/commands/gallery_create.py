"""``samespace gallery create``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("name")
@click.argument("version")
@click.option(
    "--metric",
    type=click.Choice(["cosine", "inner-product", "l2"]),
    default="cosine",
    show_default=True,
    help="How vectors are compared; it cannot be changed later.",
)
@click.option("--index", default="Flat", show_default=True, help="FAISS factory string.")
@click.option("--backend", default="faiss", show_default=True, help="Index back end.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=N",
    help="Search option of the index, such as efSearch=64 or nprobe=16; may be repeated.",
)
@dry_run_option
@session_options
@pass_session
def create(
    session: Session,
    name: str,
    version: str,
    metric: str,
    index: str,
    backend: str,
    options: tuple[str, ...],
    dry_run: bool,
) -> int:
    """Make the empty gallery NAME, embedded by VERSION until another one is promoted.

    \b
    Example:
      samespace gallery create shop products@1
      samespace gallery create shop products@1 --index HNSW32,Flat --option efSearch=64
    """
    from registry import IndexSpec, Metric

    spec = IndexSpec(backend, index, dict(_option(text) for text in options))
    with session.open() as registry:
        galleries = registry.galleries
        make = galleries.check_create if dry_run else galleries.create
        made = make(name, version, metric=Metric(metric), index=spec)
    verb = "would make" if dry_run else "made"
    return session.output.result(
        {
            "gallery": made.name,
            "model": made.model,
            "metric": metric,
            "index": index,
            "dry_run": dry_run,
        },
        f"{verb} gallery {made.name!r} ({metric}, {backend} {index}), embedded by {version}",
    )


def _option(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not value.lstrip("-").isdigit():
        raise click.BadParameter(f"{text!r}: write NAME=N with a whole number N")
    return name, int(value)
