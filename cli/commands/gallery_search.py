"""``samespace gallery search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.explaining import shown_explanation
from cli.inputs import Reader, check_directions, check_look, check_maker, one_of
from cli.item_ids import parse_ids
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

    from cli.inputs import Rows
    from registry import Embeddings, Explanation, Hits
    from registry.service.views import GalleryState

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
@click.option(
    "--explain", is_flag=True, help="Explain how the first query is answered, and why so."
)
@click.option("--item", "items", multiple=True, help="With --explain: what became of this item.")
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
    explain: bool,
    items: tuple[str, ...],
) -> int:
    """Search the gallery NAME, across all versions that it holds.

    --explain says of the first query which segments were searched by which contract, on the
    strength of which certificate, what each of them offered and what was hidden. With --item it
    also says where that item is, and its exact score and place.

    \b
    Example:
      samespace gallery search shop --vectors queries.npy -k 5
      samespace gallery search shop --queries products@1=q1.npy --queries products@2=q2.npy
      samespace gallery search shop --vectors queries.npy --explain --item sku-0007
    """
    _check_files(files, vectors, data, version)
    _check_explain(items, min_score, explain=explain)
    with session.open() as registry:
        state = registry.galleries.state(name)
        reader = Reader(registry, factory, convert, session.as_json)
        if files:
            asked = tuple(reader.by_version(files).values())
        else:
            asked = (_read_one(reader, state, version, vectors, data),)
        for rows in asked:
            if not trust_space:
                check_look(registry, name, rows)
            check_directions(state.gallery.metric, rows)
        queries = [_first(rows.embeddings, 1 if explain else first) for rows in asked]
        if explain:
            ids = parse_ids(state.gallery.id_type, items) if items else None
            return _tell(session, queries[0], registry.explain(name, queries, ids, k))
        hits = registry.search(name, queries, k, min_score=min_score)
    model = state.gallery.model
    found = _as_data(queries[0], hits, model)
    more = len(found) - _MOST_SHOWN
    note = f"… and {more} more queries; --json prints all" if more > 0 else ""
    shown = _shown(found, is_calibrated=hits.uncalibrated is not None)
    return session.output.result({"gallery": name, "queries": found}, shown, note)


def _check_files(
    files: tuple[str, ...], vectors: Path | None, data: Path | None, version: str | None
) -> None:
    if files and (vectors or data or version):
        raise click.UsageError(
            "--queries VERSION=FILE goes without --vectors, --data and --version"
        )
    if not files:
        one_of(vectors, data)


def _read_one(
    reader: Reader,
    state: GalleryState,
    version: str | None,
    vectors: Path | None,
    data: Path | None,
) -> Rows:
    """Read queries of one version: the one named, or the one in force, whose the file must be."""
    registry = reader.registry
    made_by = registry.models.get(version) if version else state.query_version
    found = reader.either(made_by, vectors, data)
    if version is None:
        check_maker(registry, state.gallery.name, found)
    return found


def _check_explain(items: tuple[str, ...], min_score: float | None, *, explain: bool) -> None:
    if items and not explain:
        raise click.UsageError("--item goes with --explain")
    if explain and min_score is not None:
        raise click.UsageError("--explain goes without --min-score: it tells every score")


def _first(queries: Embeddings, n: int | None) -> Embeddings:
    from registry import Embeddings

    if n is None:
        return queries
    return Embeddings(queries.ids[:n], queries.vectors[:n], queries.version)


def _tell(session: Session, query: Embeddings, found: Explanation) -> int:
    hits = [
        {"id": h.id, "score": h.score, "raw_score": h.raw_score, "version": str(h.version)}
        for h in found.hits
    ]
    data = {
        "gallery": found.gallery,
        "queries": [{"query": query.ids.tolist()[0], "hits": hits}],
        "explanation": found.to_json(),
    }
    return session.output.result(data, *shown_explanation(found))


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
