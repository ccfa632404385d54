from __future__ import annotations

import pytest
import torch

from compat.devices import choose_device, place
from compat.seeds import derive_seed, seeded
from registry.errors import InvalidInputError


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}


def test_a_missing_device_is_refused_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="'cuda' is not available"):
        choose_device("cuda")
    with pytest.raises(InvalidInputError, match="'tpu' is not available"):
        choose_device("tpu")  # type: ignore[arg-type]


def test_a_tensor_is_placed() -> None:
    assert place(torch.zeros(3), torch.device("cpu")).device.type == "cpu"


def test_places_of_a_run_have_their_own_seeds() -> None:
    seeds = {derive_seed(s, *p) for s in range(3) for p in [(0,), (1,), (0, 1), (1, 1), (0, 2)]}
    assert len(seeds) == 15
    assert derive_seed(3, 4) == derive_seed(3, 4)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seeded_block_gives_the_state_back() -> None:
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
