"""A run is known again where only rounding differs, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from torch import nn

from compat.augmentation import Augmentation
from compat.run_identity import RunIdentity, identify_run
from compat.training_options import TrainingData, TrainingOptions


def parts(seed: int = 0, noise: float = 0.0) -> nn.ModuleDict:
    torch.manual_seed(seed)
    modules = nn.ModuleDict({"encoder": nn.Linear(6, 4), "objective": nn.Linear(4, 3)})
    with torch.no_grad():
        for p in modules.parameters():
            p.mul_(1 + noise * torch.randn_like(p))
    return modules


DATA = TrainingData(
    torch.arange(60.0).reshape(10, 6),
    torch.arange(10) % 3,
    old_features=torch.arange(40.0).reshape(10, 4).cos(),
)
OPTIONS = TrainingOptions()


def matches(run: RunIdentity, other: RunIdentity) -> bool:
    stored = json.loads(json.dumps({"run": other.digest, "sketch": other.sketch}))
    return run.is_same(stored["run"], stored["sketch"])


def identity(
    modules: nn.ModuleDict | None = None,
    data: TrainingData = DATA,
    options: TrainingOptions = OPTIONS,
    old: str = "a",
) -> RunIdentity:
    return identify_run(parts() if modules is None else modules, data, options, {"old": old})


def test_rounding_and_how_a_run_is_carried_out_do_not_count() -> None:
    features = DATA.old_features
    assert features is not None
    rounded = replace(DATA, old_features=features * (1 + 1e-6))
    options = replace(OPTIONS, device="cpu", checkpoint_every=3)
    assert matches(identity(), identity(parts(noise=1e-6), rounded, options))


def test_what_is_digested_belongs_to_the_format_of_checkpoints() -> None:
    """If these change, raise `_FORMAT` in compat/checkpoints.py: it says why a file is refused."""
    assert identity().digest.startswith("f27c0d3d52e326a2")
    assert identity().exact.startswith("0e9dc74b5e6ffd8f")


def test_learning_rate_and_clip_norm_may_change_on_the_way() -> None:
    for changed in ({"learning_rate": 0.01}, {"clip_norm": 1.0}):
        other = identity(options=replace(OPTIONS, **changed))  # type: ignore[arg-type]
        assert matches(identity(), other)
        assert other.exact != identity().exact  # as processes that train together must not
        assert not identity().is_same(identity().exact, list(identity().sketch))


def test_everything_else_does() -> None:
    features = DATA.old_features
    assert features is not None
    others = (
        identity(parts(seed=1)),
        identity(data=replace(DATA, inputs=DATA.inputs + 1)),
        identity(data=replace(DATA, labels=DATA.labels.flip(0))),
        identity(data=replace(DATA, old_features=features.flip(0))),
        identity(data=replace(DATA, old_features=None)),
        identity(data=replace(DATA, n_rehearsed=4)),
        identity(data=replace(DATA, n_rehearsed=4, rehearsal_share=0.5)),
        identity(options=replace(OPTIONS, seed=1)),
        identity(options=replace(OPTIONS, weight_decay=0.0)),
        identity(options=replace(OPTIONS, warmup_epochs=0.0)),
        identity(old="b"),
    )
    assert [matches(identity(), other) for other in others] == [False] * len(others)
    assert not identity().is_same(identity().digest, None)
    shares = [(4, 0.5), (4, 0.25), (5, 0.5)]
    runs = [identity(data=replace(DATA, n_rehearsed=n, rehearsal_share=s)) for n, s in shares]
    assert len({run.digest for run in runs}) == 3
    views = [Augmentation(shift=0.1, views=n) for n in (None, 1, 2)]
    runs = [identity(options=replace(OPTIONS, augmentation=a)) for a in views]
    assert len({run.digest for run in runs}) == 3
