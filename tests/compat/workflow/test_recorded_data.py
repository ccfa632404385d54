"""What training records say of data and classes, of versions that really were trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from compat.workflow.recorded_data import is_recorded_data
from compat.workflow.trained_on import recorded_classes
from registry import ModelVersion, Registry
from registry.domain.canonical import Json
from registry.errors import InvalidInputError
from tests.compat.workflow.lines import N_INPUTS, Line

DIM = 8
INIT = {"init": "docs@1", "backbone": None, "options": None}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def line(registry: Registry, tmp_path: Path) -> Line:
    made = Line(registry, tmp_path)
    made.save("a.npz", [0, 1, 2, 7])
    made.save("b.npz", [20, 21])
    return made


def classes(line: Line, version: ModelVersion) -> tuple[list[int] | None, str | None]:
    found, untold = recorded_classes(line.registry, version)
    return None if found is None else sorted(found.tolist()), untold


def elsewhere(line: Line, version: ModelVersion, **training: Json) -> ModelVersion:
    """The same model registered in another line, of which something else is recorded."""
    folder = line.registry.models.artifact_directory(version)
    return line.registry.register("others", folder, training=training).version


def test_a_record_tells_the_classes(line: Line) -> None:
    made = line.train(line.config(DIM, "a.npz"))
    assert made.training["classes"] == "0..2 7"
    assert classes(line, made) == ([0, 1, 2, 7], None)
    assert classes(line, elsewhere(line, made)) == (None, None)
    assert classes(line, elsewhere(line, made, classes="all of them")) == (None, None)


def test_what_was_rehearsed_and_what_it_began_with_count_too(line: Line) -> None:
    first = line.train(line.config(DIM, "a.npz"))
    second = line.train(line.config(DIM, "b.npz", model=INIT))
    assert second.training["classes"] == "20..21"
    assert classes(line, second) == ([0, 1, 2, 7, 20, 21], None)
    data = {"rehearsal": "a.npz"}
    third = line.train(line.config(DIM, "b.npz", data=data))
    assert third.training["classes"] == "0..2 7 20..21"
    start = elsewhere(line, first)
    assert str(start.ref) == "others@1"
    config = line.config(DIM, "b.npz", model={**INIT, "init": "others@1"}, training={"seed": 5})
    fourth = line.train(config)
    assert classes(line, fourth) == ([20, 21], "others@1")


def test_data_are_recognised_by_their_digest(line: Line) -> None:
    a, b = (line.folder / name for name in ("a.npz", "b.npz"))
    made = line.train(line.config(DIM, "a.npz"))
    assert is_recorded_data(made, [a]) is True
    assert is_recorded_data(made, [b]) is False
    assert is_recorded_data(made, [a, b]) is False
    with np.load(a) as file:
        inputs, labels = file["inputs"].copy(), file["labels"]
    np.savez(line.folder / "shuffled.npz", inputs=inputs[::-1], labels=labels[::-1])
    assert is_recorded_data(made, [line.folder / "shuffled.npz"]) is False
    np.savez(line.folder / "bare.npz", inputs=inputs)
    with pytest.raises(InvalidInputError, match="no 'labels'"):
        is_recorded_data(made, [line.folder / "bare.npz"])


def test_a_rehearsal_stands_behind_the_data(line: Line) -> None:
    a, b = (line.folder / name for name in ("a.npz", "b.npz"))
    whole = line.train(line.config(DIM, "b.npz", data={"rehearsal": "a.npz"}))
    assert is_recorded_data(whole, [b, a]) is True
    assert is_recorded_data(whole, [b]) is False
    assert is_recorded_data(whole, [a, b]) is False
    part = {"rehearsal": "a.npz", "rehearsal_per_class": 2}
    assert is_recorded_data(line.train(line.config(DIM, "b.npz", data=part)), [b, a]) is None


def test_what_no_record_tells_is_not_known(line: Line) -> None:
    made = line.train(line.config(DIM, "a.npz"))
    assert is_recorded_data(elsewhere(line, made), [line.folder / "a.npz"]) is None
    head = {**INIT, "head_only": True, "backbone": "mlp", "options": {"dim": DIM, "hidden": [8]}}
    behind = line.train(line.config(DIM, "a.npz", model=head))
    assert is_recorded_data(behind, [line.folder / "a.npz"]) is None
    assert N_INPUTS != DIM  # it was trained on features, which are not the raw data
