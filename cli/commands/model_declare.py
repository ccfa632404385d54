"""``samespace model declare``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import Session, dry_run_option, pass_session, session_options

if TYPE_CHECKING:
    from registry import Contract, ModelVersion


@click.command()
@click.argument("query_version")
@click.argument("gallery_version")
@click.option("--dims", type=int, help="Leading dimensions that are compared; default all common.")
@click.option("--one-way", is_flag=True, help="Do not declare the opposite direction as well.")
@click.option(
    "--own-encoder",
    is_flag=True,
    help="The vectors are searched by their own version's queries; only rankings are merged.",
)
@dry_run_option
@session_options
@pass_session
def declare(
    session: Session,
    query_version: str,
    gallery_version: str,
    dims: int | None,
    one_way: bool,
    own_encoder: bool,
    dry_run: bool,
) -> int:
    """Declare how queries of QUERY_VERSION are compared with vectors of GALLERY_VERSION.

    It is a claim, not a proof: only a certificate lets anything be served by it. 'samespace train'
    declares what its objective makes.

    \b
    Example:
      samespace model declare products@2 products@1 --dims 128
      samespace model declare products@3 products@1 --own-encoder --one-way
    """
    if own_encoder and dims is not None:
        raise click.UsageError("give either --own-encoder or --dims")

    with session.open() as registry:
        models = registry.models
        query, gallery = models.get(query_version), models.get(gallery_version)
        compared = dims if dims is not None else min(query.dim, gallery.dim)
        pairs = [(query, gallery)] + ([] if one_way else [(gallery, query)])
        declared = [
            (a.ref, b.ref, _contract(b, compared, own_encoder=own_encoder)) for a, b in pairs
        ]
        contract = declared[0][2]
        (models.check_each if dry_run else models.declare_each)(declared)
    verb = "would be" if dry_run else "is"
    return session.output.result(
        {
            "query_version": str(query.ref),
            "gallery_version": str(gallery.ref),
            "contract": contract.to_json(),
            "both_ways": not one_way,
            "dry_run": dry_run,
        },
        f"{query.ref} {verb} compared with {gallery.ref} by the {contract}",
    )


def _contract(gallery: ModelVersion, compared: int, *, own_encoder: bool) -> Contract:
    from registry import Contract, ContractKind

    if own_encoder:
        return Contract(ContractKind.OWN_ENCODER, gallery.dim)
    return Contract(ContractKind.PREFIX, compared)
