"""What is read back, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from compat.checkpoints import read_checkpoint, write_checkpoint
from compat.run_identity import RunIdentity
from registry.errors import CorruptFileError, InvalidInputError

RUN = RunIdentity("a" * 64, "b" * 64, (1.0, 0.5))


class Parts:
    """Networks with an optimizer that has taken one step."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.modules = nn.ModuleDict({"encoder": nn.Linear(3, 2), "objective": nn.Linear(2, 2)})
        self.optimizer = torch.optim.SGD(self.modules.parameters(), lr=0.1, momentum=0.9)
        for p in self.modules.parameters():
            p.grad = torch.ones_like(p)
        self.optimizer.step()

    def bytes(self) -> list[bytes]:
        state = self.optimizer.state_dict()["state"].values()
        tensors = (*self.modules.state_dict().values(), *(s["momentum_buffer"] for s in state))
        return [tensor.numpy().tobytes() for tensor in tensors]

    def read(self, path: Path, run: RunIdentity = RUN) -> int:
        return read_checkpoint(path, self.modules, self.optimizer, run=run)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path, parts = tmp_path / "run.safetensors", Parts(0)
    write_checkpoint(path, parts.modules, parts.optimizer, epoch=3, run=RUN)
    return path


def rewrite(path: Path, metadata: dict[str, str] | None) -> None:
    save_file(load_file(path), path, metadata=metadata)


def facts_of(path: Path) -> tuple[str, dict[str, object]]:
    with safe_open(path, framework="pt") as file:
        ((key, text),) = file.metadata().items()
    return key, json.loads(text)


def test_weights_optimizer_and_epoch_come_back(path: Path) -> None:
    other = Parts(1)
    assert other.bytes() != Parts(0).bytes()
    assert other.read(path) == 3
    assert other.bytes() == Parts(0).bytes()


@pytest.mark.parametrize("other", [2, 99])
def test_another_format_is_refused_in_one_line_and_nothing_is_loaded(
    path: Path, other: int
) -> None:
    key, facts = facts_of(path)
    rewrite(path, {key: json.dumps(facts | {"format": other})})
    parts = Parts(1)
    with pytest.raises(
        InvalidInputError, match=rf"of format {other}, but this samespace reads format \d+$"
    ) as info:
        parts.read(path)
    assert "resume it with the samespace that wrote it" in str(info.value.hint)
    assert parts.bytes() == Parts(1).bytes()


def test_another_run_is_refused_and_nothing_is_loaded(path: Path) -> None:
    parts = Parts(1)
    for run in (replace(RUN, digest="c" * 64), replace(RUN, sketch=(2.0, 0.5))):
        with pytest.raises(InvalidInputError, match="checkpoint of another run"):
            parts.read(path, run)
    assert parts.bytes() == Parts(1).bytes()
    assert parts.read(path, replace(RUN, exact="c" * 64)) == 3  # by another learning rate


@pytest.mark.parametrize("text", ["[]", "{}", "no JSON", '{"format": null}', None])
def test_a_file_that_says_nothing_of_a_run_is_no_checkpoint(path: Path, text: str | None) -> None:
    key, _ = facts_of(path)
    rewrite(path, None if text is None else {key: text})
    with pytest.raises(CorruptFileError, match="is not a training checkpoint"):
        Parts(1).read(path)
