"""``samespace gallery search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.inputs import Reader, check_directions, check_look, check_maker, one_of
from cli.options import (
    INPUT_FILE,
    Session,
    pass_session,
    session_options,
    trust_space_option,
)
from cli.output import table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from registry import Embeddings, Hits

_MOST_SHOWN = 10


@click.command()
@click.argument("name")
@click.option("--vectors", type=INPUT_FILE, help="Query vectors: .npy, .npz, .parquet or .arrow.")
@click.option(
    "--queries",
    "files",
    multiple=True,
    metavar="VERSION=FILE",
    help="Query vectors of each version, where vectors are searched by their own encoder.",
)
@click.option("--data", type=INPUT_FILE, help="Raw data to embed: .npz with inputs and ids.")
@click.option("--version", help="Which version made the vectors; default the one in force.")
@click.option("--factory", metavar="MODULE:NAME", help="Builds your own backbone, with --data.")
@click.option("--convert", is_flag=True, help="Convert vectors to contiguous float32.")
@trust_space_option
@click.option("-k", type=int, default=10, show_default=True, help="Hits a query.")
@click.option("--min-score", type=float, help="Leave out what scores less, on the gallery's scale.")
@click.option("--first", type=click.IntRange(1), help="Search with the first so many queries only.")
@session_options
@pass_session
def search(
    session: Session,
    name: str,
    vectors: Path | None,
    files: tuple[str, ...],
    data: Path | None,
    version: str | None,
    factory: str | None,
    convert: bool,
    trust_space: bool,
    k: int,
    min_score: float | None,
    first: int | None,
) -> int:
    """Search the gallery NAME, across all versions that it holds.

    \b
    Example:
      samespace gallery search shop --vectors queries.npy -k 5
      samespace gallery search shop --queries products@1=q1.npy --queries products@2=q2.npy
    """
    if files and (vectors or data or version):
        raise click.UsageError(
            "--queries VERSION=FILE goes without --vectors, --data and --version"
        )
    if not files:
        one_of(vectors, data)
    with session.open() as registry:
        state = registry.galleries.state(name)
        reader = Reader(registry, factory, convert, session.as_json)
        if files:
            asked = tuple(reader.by_version(files).values())
        else:
            made_by = registry.models.get(version) if version else state.query_version
            asked = (reader.either(made_by, vectors, data),)
            if version is None:
                check_maker(registry, name, asked[0])
        for rows in asked:
            if not trust_space:
                check_look(registry, name, rows)
            check_directions(state.gallery.metric, rows)
        queries = [_first(rows.embeddings, first) for rows in asked]
        hits = registry.search(name, queries, k, min_score=min_score)
    model = state.gallery.model
    found = _as_data(queries[0], hits, model)
    more = len(found) - _MOST_SHOWN
    note = f"… and {more} more queries; --json prints all" if more > 0 else ""
    shown = _shown(found, is_calibrated=hits.uncalibrated is not None)
    return session.output.result({"gallery": name, "queries": found}, shown, note)


def _first(queries: Embeddings, n: int | None) -> Embeddings:
    from registry import Embeddings

    if n is None:
        return queries
    return Embeddings(queries.ids[:n], queries.vectors[:n], queries.version)


def _shown(found: list[dict[str, Any]], *, is_calibrated: bool) -> RenderableType:
    scores = ("score", "raw_score") if is_calibrated else ("score",)
    rows = [
        (
            f"{q['query']}" if rank == 0 else "",
            *((rank + 1, h["id"]) if h else ("", "none")),
            *(f"{h[name]:.4f}" if h else "" for name in scores),
            h.get("version", ""),
        )
        for q in found[:_MOST_SHOWN]
        for rank, h in enumerate(q["hits"] or [{}])
    ]
    heads = ("#score", "#raw score") if is_calibrated else ("#score",)
    return table("", ("query", "#rank", "item", *heads, "made by"), rows)


def _as_data(queries: Embeddings, hits: Hits, model: str) -> list[dict[str, Any]]:
    arrays = (hits.ids, hits.scores, hits.raw_scores, hits.versions)
    columns = [array.tolist() for array in arrays]
    return [
        {
            "query": query,
            "hits": [
                {"id": item, "score": score, "raw_score": raw, "version": f"{model}@{number}"}
                for item, score, raw, number in zip(*row, strict=True)
                if number > 0
            ],
        }
        for query, *row in zip(queries.ids.tolist(), *columns, strict=True)
    ]
