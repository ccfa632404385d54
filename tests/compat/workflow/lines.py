"""A model line in the making: classes around centres, networks that learn them in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from compat.training_config import TrainingConfig, parse_training_config
from compat.workflow.training import TrainingPlan, plan_training, train_version
from registry import ModelVersion, Registry

N_INPUTS = 10


class Line:
    """Trains versions of one line, one after the other, from configurations."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry, self.folder = registry, folder
        self.rng = np.random.default_rng(4)
        self.centres = self.rng.normal(size=(40, N_INPUTS)) * 1.5

    def sample(self, labels: Any) -> Any:
        near = self.centres[labels] + 0.5 * self.rng.normal(size=(len(labels), N_INPUTS))
        return near.astype(np.float32)

    def save(self, name: str, classes: Any, n_each: int = 6) -> str:
        labels = np.repeat(np.asarray(classes), n_each)
        np.savez(self.folder / name, inputs=self.sample(labels), labels=labels)
        return name

    def config(self, dim: int, train: str, **sections: Any) -> TrainingConfig:
        """A configuration of an mlp; `sections` add to, or replace, what stands in one."""
        given: dict[str, dict[str, object]] = {
            "model": {
                "name": "docs",
                "backbone": "mlp",
                "options": {"in_features": N_INPUTS, "dim": dim, "hidden": [16]},
            },
            "data": {"train": train},
            "objective": {"name": "independent"},
            "training": {"epochs": 3, "batch_size": 20, "learning_rate": 0.05, "device": "cpu"},
        }
        for section, values in sections.items():
            merged = {**given.get(section, {}), **values}
            given[section] = {key: value for key, value in merged.items() if value is not None}
        return parse_training_config(given, directory=self.folder)

    def plan(self, config: TrainingConfig) -> TrainingPlan:
        return plan_training(self.registry, config, directory=self.folder)

    def train(self, config: TrainingConfig) -> ModelVersion:
        made = train_version(self.registry, self.plan(config))
        assert made.is_new
        return made.version

    def dims_between(self, query: int, gallery: int) -> int | None:
        """How many dimensions two versions are compared in; None if nobody declared it."""
        refs = [self.registry.models.get(f"docs@{number}").ref for number in (query, gallery)]
        contract = self.registry.models.contract(*refs)
        return None if contract is None else contract.dims
