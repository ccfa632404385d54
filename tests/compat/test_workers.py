"""Training by two processes that speak by gloo: the same numbers as one process gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from compat.workers import Workers, current_workers, joined
from registry.errors import InvalidInputError

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def train_with(n: int, folder: Path) -> list[dict[str, torch.Tensor]]:
    """Run as many processes as `torchrun` would; return what each one held at the end."""
    folder.mkdir()
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(n)}
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK")}
    started = []
    for rank in range(n):
        env = {**clean, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        line = [sys.executable, "-m", "tests.compat.two_workers", str(folder / f"{rank}.st")]
        started.append(subprocess.Popen([*line, str(folder)], env=env, cwd=ROOT))
    assert [process.wait(timeout=120) for process in started] == [0] * n
    return [load_file(folder / f"{rank}.st") for rank in range(n)]


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    (alone,) = train_with(1, tmp_path / "one")
    first, second = train_with(2, tmp_path / "two")
    assert list(first) == list(second) == list(alone)
    # two views of 43 images, in batches of 4: the first has 5 batches of each view
    n_embedded = [int(tensors.pop("kept.n_embedded")) for tensors in (alone, first, second)]
    assert n_embedded == [86, 40, 46]
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        torch.testing.assert_close(tensor, alone[name], rtol=1e-4, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "0.st",
        "1.st",
        "run.safetensors",  # the first process wrote it, the second nothing
    ]


def test_shares_cover_a_step_once_and_weigh_one() -> None:
    for n_rows in (4, 5, 16, 17):
        shares = [Workers(rank, 2).share(n_rows) for rank in range(2)]
        rows = [row for share, _ in shares for row in range(n_rows)[share]]
        assert rows == list(range(n_rows))
        assert sum(weight for _, weight in shares) == pytest.approx(1)
    whole = [Workers(rank, 2).share(3) for rank in range(2)]
    assert whole == [(slice(0, 3), 0.5)] * 2
    assert Workers().share(3) == (slice(0, 3), 1.0)


def test_parts_cover_everything_once() -> None:
    for n in (0, 1, 2, 7):
        parts = [Workers(rank, 3).part(n) for rank in range(3)]
        assert [k for part in parts for k in range(n)[part]] == list(range(n))
    assert Workers().part(5) == slice(0, 5)


def test_alone_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as workers:
        assert workers == current_workers() == Workers()
    parameter = nn.Parameter(torch.ones(2))
    values = torch.tensor([1.0])
    assert workers.add_up([parameter], values) is values
    assert parameter.grad is None
    assert workers.tell("a") == "a"
    table = torch.arange(3.0)
    workers.complete(table, torch.device("cpu"))
    assert table.tolist() == [0, 1, 2]


def test_processes_that_do_not_know_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidInputError, match="2 processes were started") as info:
        current_workers()
    assert "joined" in (info.value.hint or "")
