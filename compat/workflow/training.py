"""Training a new version and registering it with its contracts to earlier ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from compat.classifiers import Classifier
from compat.encoder_files import save_encoder
from compat.training import EpochRecord, train
from compat.workers import Workers, current_workers, joined
from registry.domain.contracts import Contract
from registry.domain.refs import VersionRef
from registry.service import Parent, Registration, Registry

from .planning import TrainingPlan, labels_of, plan_training
from .record import training_record
from .slots import claim_slots, simplex_contracts

__all__ = ["TrainingPlan", "plan_training", "train_version"]


def train_version(
    registry: Registry,
    plan: TrainingPlan,
    *,
    resume: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Registration:
    """Train as planned, then register the new version.

    Under ``torchrun`` all processes train together; the first one registers.

    Args:
        registry: an open registry.
        plan: what `plan_training` made.
        resume: a checkpoint of the same run to go on from.
        on_epoch: called with each epoch's record.

    Raises:
        TrainingDivergedError: if a loss becomes NaN or infinite; nothing is registered.
        ConflictError: if somebody else was given its class slots meanwhile.
    """
    with joined(plan.config.training.device) as workers:
        epochs = train(
            plan.encoder,
            plan.objective,
            plan.data,
            plan.config.training,
            old_encoder=plan.old_encoder,
            twin_encoder=None if plan.twin is None else plan.twin.encoder,
            resume=resume,
        )
        if workers.is_first:  # now that nothing is left to be refused
            claim_slots(registry, plan.config, plan.slots, plan.encoder.dim)
        records: list[EpochRecord] = []
        for record in epochs:
            records.append(record)
            if on_epoch is not None:
                on_epoch(record)
        return _register_once(registry, plan, records, workers)


def _register_once(
    registry: Registry, plan: TrainingPlan, records: list[EpochRecord], workers: Workers
) -> Registration:
    """Let the first process register; the others wait, and look up what it made."""
    if not workers.is_first:
        return Registration(registry.models.get(workers.tell("")), is_new=False)
    made = _register(registry, plan, records)
    workers.tell(str(made.version.ref))
    return made


def _register(registry: Registry, plan: TrainingPlan, records: list[EpochRecord]) -> Registration:
    deployed = plan.deployed().cpu()
    classifier = Classifier.from_objective(
        plan.objective, labels_of(plan.data), normalised=deployed.normalised
    )
    with tempfile.TemporaryDirectory(prefix="samespace-") as folder:
        directory = Path(folder) / "artifact"
        save_encoder(deployed, directory, canaries=plan.canaries, classifier=classifier)
        return registry.register(
            plan.config.model.name,
            directory,
            parents=_parents(plan),
            contracts=simplex_contracts(registry, plan.config, plan.slots, plan.objective.contract),
            training=training_record(plan, records, n_processes=current_workers().n),
        )


def _parents(plan: TrainingPlan) -> tuple[Parent, ...]:
    """Return the versions it came from: one entry each, with the contract to the old one.

    What it is comparable with though it did not come from it, `simplex_contracts` says.
    """
    relations: dict[VersionRef, list[str]] = {}
    contracts: dict[VersionRef, Contract | None] = {}
    roles = (
        (plan.old.version if plan.old else None, f"trained against: {plan.config.objective.name}"),
        (plan.twin.version if plan.twin else None, "imitates it, its twin"),
        (plan.start.init, _beginning(plan)),
    )
    for version, relation in roles:
        if version is not None and version.ref.model == plan.config.model.name:
            relations.setdefault(version.ref, []).append(relation)
    if plan.old is not None:
        contracts[plan.old.version.ref] = plan.objective.contract
    return tuple(
        Parent(ref, "; ".join(said), contracts.get(ref)) for ref, said in relations.items()
    )


def _beginning(plan: TrainingPlan) -> str:
    if plan.start.frozen is not None:
        return "keeps its backbone"
    return f"began with its weights{', turned' if plan.config.model.turned else ''}"
