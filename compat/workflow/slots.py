"""Class slots in training: what the registry's table says, and claiming what it would give."""

from __future__ import annotations

from collections.abc import Mapping

from compat.training_config import TrainingConfig
from registry.domain.contracts import Contract, ContractKind
from registry.domain.refs import VersionRef
from registry.domain.slots import Side
from registry.domain.versions import ModelVersion
from registry.errors import ConflictError, InvalidInputError
from registry.service import Registry


def plan_slots(
    registry: Registry,
    config: TrainingConfig,
    labels: tuple[int, ...],
    n_slots: int,
    old: ModelVersion | None,
) -> dict[int, int]:
    """Return the vertex of each class as the registry has it, or would give it; it gives none yet.

    Args:
        registry: an open registry.
        config: its model line, and the supplier and side of its objective.
        labels: the classes, without repetition.
        n_slots: number of vertices.
        old: the version to be compatible with; if its record says which vertices its classes own,
            they must be the same.

    Raises:
        InvalidInputError: if too few vertices are free, or a class has another one than in the old
            version.
    """
    table = _ask(registry, config, labels, n_slots, dry_run=True)
    if old is not None and old.training:  # a model from elsewhere has no record
        _check_agreement(table, config.objective.supplier, old)
    return table


def simplex_contracts(
    registry: Registry,
    config: TrainingConfig,
    slots: Mapping[int, int],
    contract: Contract | None,
) -> dict[VersionRef, Contract]:
    """Return the contract with every version that was trained with the same simplex.

    Whichever came first, and whichever the new version was trained against, equal classes stand at
    equal vertices. Versions without a record of their slots, or whose classes stand elsewhere, have
    no contract. Whether search works is for a certificate to say.

    Args:
        registry: an open registry.
        config: the model line, and the supplier of the objective.
        slots: vertex of each class label of the new version; empty without a simplex.
        contract: what the objective declares; only one of the same space reaches further than to
            the version that was trained against.
    """
    if not slots or contract is None or contract.kind is not ContractKind.SAME_SPACE:
        return {}
    return {
        version.ref: contract
        for version in registry.models.list()  # the line itself may not be there yet
        if (version.ref.model, version.dim) == (config.model.name, contract.dims)
        and _disagreement(slots, config.objective.supplier, version) is None
    }


def _check_agreement(table: Mapping[int, int], supplier: str, old: ModelVersion) -> None:
    """Refuse an old version whose classes stand elsewhere in the simplex, or in none."""
    found = _disagreement(table, supplier, old)
    if found is not None:
        raise found


def _disagreement(
    table: Mapping[int, int], supplier: str, old: ModelVersion
) -> InvalidInputError | None:
    """Return why an old version's record does not fit to the vertices of the new one's classes."""
    recorded = old.training.get("slots")
    if not isinstance(recorded, dict):
        return InvalidInputError(
            f"{old.ref} was not trained with a simplex, so its space is another one",
            hint="name a version in [objective] against that 'cores' or 'dsimplex-hoc' trained",
        )
    if old.training.get("supplier") == supplier:
        now = {str(label): vertex for label, vertex in table.items()}
        for label, vertex in recorded.items():
            if now.get(label, vertex) != vertex:
                return InvalidInputError(
                    f"class {label} owned vertex {vertex} when {old.ref} was trained, "
                    f"and owns {now[label]} now",
                    hint="a class keeps its vertex in all versions",
                )
        return None
    shared = sorted(set(table.values()) & set(recorded.values()))
    if shared:
        return InvalidInputError(
            f"classes of supplier {supplier!r} would own vertices of {old.ref}, whose supplier is "
            f"{old.training.get('supplier')!r}: {shared[:5]}",
            hint="two suppliers' classes are different ones: begin at the other side, or say "
            "`samespace slots assign` for the old ones",
        )
    return None


def n_slots_of(config: TrainingConfig, dim: int) -> int:
    """Return the number of vertices: as it is stated, or one more than the dimensions."""
    stated = config.objective.options.get("n_slots")
    return stated if isinstance(stated, int) else dim + 1


def claim_slots(
    registry: Registry, config: TrainingConfig, planned: Mapping[int, int], dim: int
) -> None:
    """Let the registry give what was planned, before the first step.

    Raises:
        ConflictError: if somebody else was given one of these vertices meanwhile.
    """
    n_slots = n_slots_of(config, dim)
    if planned and _ask(registry, config, tuple(planned), n_slots, dry_run=False) != planned:
        raise ConflictError(
            "somebody else was given class slots since this training was planned",
            hint="train again: it takes the next free ones",
        )


def _ask(
    registry: Registry,
    config: TrainingConfig,
    labels: tuple[int, ...],
    n_slots: int,
    *,
    dry_run: bool,
) -> dict[int, int]:
    named = config.objective
    found = registry.slots.assign(
        config.model.name,
        labels,
        n_slots=n_slots,
        supplier=named.supplier,
        side=Side(named.side),
        dry_run=dry_run,
    )
    return {int(label): vertex for label, vertex in found.items()}
