"""``samespace probe register``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import INPUT_FILE, Session, dry_run_option, pass_session, session_options
from cli.output import short
from cli.probes import given_questions


@click.command()
@click.argument("name")
@click.option("--gallery", required=True, help="The gallery whose items it speaks of.")
@click.option("--labels", type=INPUT_FILE, help="Labels of the queries: .npz, .csv, Parquet, .npy.")
@click.option("--gallery-labels", type=INPUT_FILE, help="Labels of the gallery's items, by id.")
@click.option(
    "--qrels", type=INPUT_FILE, help="Judgements, TREC or BEIR, instead of labels on both sides."
)
@click.option("--query-ids", type=INPUT_FILE, help="Ids of the queries, in the order of the rows.")
@dry_run_option
@session_options
@pass_session
def register(
    session: Session,
    name: str,
    gallery: str,
    labels: Path | None,
    gallery_labels: Path | None,
    qrels: Path | None,
    query_ids: Path | None,
    dry_run: bool,
) -> int:
    """Register queries and what is relevant to them as the probe set NAME.

    It holds ids, labels, groups and judgements; no vectors, no raw data. It never changes: the
    same content again does nothing, other content needs a new name. 'samespace certify --probe
    NAME' asks it.

    Give the queries ids, by a column id or by --query-ids: then rows of vectors in another order
    are refused, and a query that is an item of the gallery is not its own answer. Without ids the
    rows go by their order, and vector files must not name theirs.

    \b
    Example:
      samespace probe register spring --gallery shop \\
          --labels query_labels.csv --gallery-labels item_labels.csv
      samespace probe register scifact --gallery docs --qrels qrels/test.tsv --query-ids ids.txt
    """
    from compat.workflow.probe_sets import register_questions

    questions = given_questions(labels, gallery_labels, qrels, query_ids)
    with session.open() as registry:
        made = register_questions(registry, name, gallery, questions, dry_run=dry_run)
    facts = made.facts
    verb = ("would register" if dry_run else "registered") if made.is_new else "registered already:"
    return session.output.result(
        {
            "probe_set": name,
            "gallery": gallery,
            "kind": facts.kind.value,
            "n_queries": facts.n_queries,
            "digest": facts.digest,
            "questions": facts.questions,
            "is_new": made.is_new,
            "dry_run": dry_run,
        },
        f"{verb} probe set {name!r} of gallery {gallery!r}: {facts.n_queries} queries with "
        f"{facts.kind}, {short(facts.digest)}",
    )
