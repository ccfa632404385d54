"""``samespace model register``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import Session, dry_run_option, pass_session, session_options

if TYPE_CHECKING:
    from registry import Parent, Registration, Registry


@click.command()
@click.argument("name")
@click.option(
    "--artifact",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with model.safetensors and model.json.",
)
@click.option("--dim", type=int, help="Dimensions, if only vectors are at hand.")
@click.option("--provider", help="Who makes the vectors, such as openai or in-house.")
@click.option("--made-by", help="The model's own name and revision, such as clip-vit-b32@2024-05.")
@click.option("--normalised", is_flag=True, help="The vectors come with unit length.")
@click.option("--compatible-with", metavar="VERSION", help="An earlier version it is made for.")
@click.option("--dims", type=int, help="How many leading dimensions are compared with that one.")
@dry_run_option
@session_options
@pass_session
def register(
    session: Session,
    name: str,
    artifact: Path | None,
    dim: int | None,
    provider: str | None,
    made_by: str | None,
    normalised: bool,
    compatible_with: str | None,
    dims: int | None,
    dry_run: bool,
) -> int:
    """Register a version of the model line NAME: an artifact, or a maker of vectors.

    With an artifact the fingerprint is computed from its weights. Without one it rests on your
    word: say who makes the vectors, and change --made-by whenever the maker changes.

    \b
    Example:
      samespace model register products --artifact runs/v3
      samespace model register docs --dim 384 --provider acme --made-by embed-small@2025-01
    """
    from registry.domain.refs import check_name

    check_name("model", name)
    with session.open() as registry:
        parents = _parents(registry, compatible_with, dims)
        if artifact is not None:
            made = _artifact(registry, name, artifact, parents, dry_run=dry_run)
        else:
            made = _vectors(
                registry, name, (dim, provider, made_by, normalised), parents, dry_run=dry_run
            )
    if made is None:
        return session.output.result({"dry_run": True}, "all checks passed; nothing was registered")
    version = made.version
    verb = "registered" if made.is_new else "known already as"
    return session.output.result(
        {
            "version": str(version.ref),
            "fingerprint": version.fingerprint,
            "dim": version.dim,
            "provenance": version.provenance.value,
            "is_new": made.is_new,
        },
        f"{verb} {version.ref} ({version.dim} dimensions, {version.fingerprint[:26]}…)",
    )


def _parents(registry: Registry, ref: str | None, dims: int | None) -> tuple[Parent, ...]:
    from registry import Contract, ContractKind, Parent

    if ref is None:
        return ()
    parent = registry.models.get(ref)
    compared = dims if dims is not None else parent.dim
    return (Parent(parent.ref, "declared", Contract(ContractKind.PREFIX, compared)),)


def _artifact(
    registry: Registry, name: str, folder: Path, parents: tuple[Parent, ...], *, dry_run: bool
) -> Registration | None:
    from registry.artifacts import read_artifact

    if dry_run:
        registry.models.check_parents(name, read_artifact(folder).description.dim, parents)
        return None
    return registry.register(name, folder, parents=parents)


def _vectors(
    registry: Registry,
    name: str,
    given: tuple[int | None, str | None, str | None, bool],
    parents: tuple[Parent, ...],
    *,
    dry_run: bool,
) -> Registration | None:
    from registry import SpaceDescription
    from registry.errors import InvalidInputError

    dim, provider, made_by, normalised = given
    if dim is None or provider is None or made_by is None:
        raise InvalidInputError(
            "a version is registered from --artifact, or from --dim, --provider and --made-by",
            hint="samespace model register --help",
        )
    description = SpaceDescription({}, {}, normalised, dim)
    if dry_run:
        registry.models.check_parents(name, dim, parents)
        return None
    identity = {"provider": provider, "made_by": made_by}
    return registry.models.register_vectors(name, description, identity, parents=parents)
