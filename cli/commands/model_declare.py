"""``samespace model declare``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("query_version")
@click.argument("gallery_version")
@click.option("--dims", type=int, help="Leading dimensions that are compared; default all common.")
@click.option("--one-way", is_flag=True, help="Do not declare the opposite direction as well.")
@dry_run_option
@session_options
@pass_session
def declare(
    session: Session,
    query_version: str,
    gallery_version: str,
    dims: int | None,
    one_way: bool,
    dry_run: bool,
) -> int:
    """Declare how queries of QUERY_VERSION are compared with vectors of GALLERY_VERSION.

    It is a claim, not a proof: only a certificate lets anything be served by it. 'samespace train'
    declares what its objective makes.

    \b
    Example:
      samespace model declare products@2 products@1 --dims 128
    """
    from registry import Contract, ContractKind

    with session.open() as registry:
        models = registry.models
        query, gallery = models.get(query_version), models.get(gallery_version)
        compared = dims if dims is not None else min(query.dim, gallery.dim)
        contract = Contract(ContractKind.PREFIX, compared)
        pairs = [(query.ref, gallery.ref)] + ([] if one_way else [(gallery.ref, query.ref)])
        (models.check_contracts if dry_run else models.declare_contracts)(pairs, contract)
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
