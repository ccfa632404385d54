"""``samespace certify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.inputs import Reader, Rows, check_look, one_of
from cli.labels import check_numbered
from cli.options import (
    INPUT_FILE,
    Session,
    dry_run_option,
    pass_session,
    session_options,
    trust_space_option,
)
from cli.probes import Asked, AskedFiles
from cli.report_files import report_options, told, write_reports
from cli.training_files import check_training, read_training, training_options

if TYPE_CHECKING:
    from compat.probes import Probe
    from registry import ModelVersion, VersionRef


@click.command()
@click.argument("gallery")
@click.argument("version")
@click.option(
    "--queries",
    "files",
    multiple=True,
    metavar="VERSION=FILE",
    help="Query vectors that a version made; once for VERSION and for each one in the gallery.",
)
@click.option("--data", type=INPUT_FILE, help="Raw queries to embed: .npz with inputs and labels.")
@click.option("--labels", type=INPUT_FILE, help="Labels of the query rows; default in --data.")
@click.option("--gallery-labels", type=INPUT_FILE, help="Labels of the gallery's items, by id.")
@click.option(
    "--qrels", type=INPUT_FILE, help="Judgements, TREC or BEIR, instead of labels on both sides."
)
@click.option("--query-ids", type=INPUT_FILE, help="Ids of the query rows, with --qrels.")
@click.option("--probe", "probe_set", metavar="NAME", help="A registered probe set, for all these.")
@click.option("--reembedded", type=INPUT_FILE, help="Gallery items' vectors made by VERSION.")
@click.option("--reembedded-ids", type=INPUT_FILE, help="Their ids, if not in the same file.")
@click.option("--gallery-data", type=INPUT_FILE, help="Raw gallery items, to embed with VERSION.")
@click.option("--policy", "policy_file", type=INPUT_FILE, help="TOML or YAML file with the rules.")
@click.option("--factory", metavar="MODULE:NAME", help="Builds your own backbone, with --data.")
@click.option("--convert", is_flag=True, help="Convert vectors to contiguous float32.")
@training_options
@trust_space_option
@report_options
@dry_run_option
@session_options
@pass_session
def certify(
    session: Session,
    gallery: str,
    version: str,
    files: tuple[str, ...],
    data: Path | None,
    labels: Path | None,
    gallery_labels: Path | None,
    qrels: Path | None,
    query_ids: Path | None,
    probe_set: str | None,
    reembedded: Path | None,
    reembedded_ids: Path | None,
    gallery_data: Path | None,
    policy_file: Path | None,
    factory: str | None,
    convert: bool,
    trust_space: bool,
    dry_run: bool,
) -> int:
    """Certify that queries of VERSION may search the old vectors of GALLERY.

    Needed are labelled queries, embedded by VERSION and by every version that the gallery holds,
    and labels of the gallery's items; or, instead of labels on both sides, graded judgements
    (--qrels), which nDCG weighs; the unit of resampling is then the query. All of this may be
    registered once ('samespace probe register') and taken from there (--probe). With the items
    embedded by VERSION too (--reembedded or --gallery-data) the way back is certified as well,
    which a rollback without loss needs.

    With what VERSION was trained on (--training-vectors or --training-data) the queries are looked
    for in it, by id and by near-duplicate vectors. Queries of classes that it was trained on are
    told apart from others, by these data, by --training-labels, or by its training record.

    The certificate is signed with your key.

    --report writes a page for those who decide, --markdown a summary for a pull request, --junit
    a file for CI; 'samespace report' writes them later.

    Exit code: 0 COMPATIBLE, 1 INCOMPATIBLE, 3 INCONCLUSIVE.

    \b
    Example:
      samespace certify shop products@2 --queries products@1=q1.npy --queries products@2=q2.npy \\
          --labels query_labels.csv --gallery-labels item_labels.csv
      samespace certify shop products@2 --data queries.npz --gallery-labels items.npz
      samespace certify docs texts@2 --queries texts@1=q1.npy --queries texts@2=q2.npy \\
          --query-ids ids.txt --qrels qrels/test.tsv
      samespace certify shop products@2 --queries products@1=q1.npy --queries products@2=q2.npy \\
          --probe spring
    """
    from cli.certificates import as_data, exit_code, shown
    from cli.policies import read_policy
    from cli.sample_sizes import PlanNotes
    from compat.workflow.certifying import certify as run

    one_of(files, data, name="--queries VERSION=FILE (once a version)")
    given = AskedFiles(probe_set, labels, data, gallery_labels, qrels, query_ids)
    given.check()
    check_training(session.training, has_judgements=qrels is not None)
    _check_again(reembedded, gallery_data)
    notes, policy = PlanNotes(session.output), read_policy(policy_file)
    with session.open() as registry:
        if not dry_run:
            registry.certificates.check_signer()
        new = registry.models.get(version)
        target = registry.galleries.get(gallery)
        ask = given.open(registry, gallery)
        reader = Reader(registry, factory, convert, session.as_json, target.id_type)
        versions = (*target.versions(), new.ref)
        queries = reader.by_version(files) if data is None else _embed(reader, versions, data)
        again = _read_again(reader, gallery, new, reembedded, reembedded_ids, gallery_data)
        looks = (*queries.values(), *([again] if again else []))
        _check_looks(reader, gallery, () if trust_space else looks)
        probe = _probe(ask(tuple(queries.values())), queries, again)
        training = read_training(reader, session.training, new, probe, trust_space=trust_space)
        made = run(
            registry,
            gallery,
            new.ref,
            probe,
            policy,
            training=training,
            dry_run=dry_run,
            on_plan=notes.say,
        )
        written = write_reports(session.reports, made, registry.now())
    return session.output.result(
        as_data(made, notes.plan) | {"reports": written},
        *shown(made),
        *told(written),
        exit_code=exit_code(made),
    )


def _check_again(reembedded: Path | None, gallery_data: Path | None) -> None:
    if reembedded is not None and gallery_data is not None:
        raise click.UsageError("give either --reembedded FILE or --gallery-data FILE")


def _probe(asked: Asked, queries: dict[VersionRef, Rows], again: Rows | None) -> Probe:
    from compat.probes import Probe

    return Probe(
        asked.questions.queries,
        {ref: rows.embeddings for ref, rows in queries.items()},
        asked.questions.items,
        again.embeddings if again is not None else None,
        asked.probe_set,
    )


def _embed(reader: Reader, versions: tuple[VersionRef, ...], data: Path) -> dict[VersionRef, Rows]:
    models = reader.registry.models
    return {ref: reader.data(models.get(ref), data) for ref in dict.fromkeys(versions)}


def _check_looks(reader: Reader, gallery: str, given: tuple[Rows, ...]) -> None:
    for rows in given:
        check_look(reader.registry, gallery, rows)


def _read_again(
    reader: Reader,
    gallery: str,
    new: ModelVersion,
    vectors: Path | None,
    ids: Path | None,
    data: Path | None,
) -> Rows | None:
    """Read the gallery's items as the new version embeds them, if they are given."""
    if vectors is None and data is None:
        return None
    again = reader.either(new, vectors, data, ids)
    check_numbered(reader.registry, gallery, again)
    return again
