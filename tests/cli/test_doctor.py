from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.cli.worlds import CERTIFY, Run, snapshot
from tests.registry.service.builders import artifact


def test_a_sound_registry_is_well_and_unchanged(upgraded: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = upgraded("doctor", "--json").data
    assert found["n_failed"] == 0
    by_name = {check["check"]: check["found"] for check in found["checks"]}
    assert by_name["gallery shop"] == "ok: 2 files as recorded"
    assert by_name["model products@1"] == "skipped: only its vectors are known"
    assert by_name["certificates of shop"] == "ok: 1 with their evidence as recorded"
    assert by_name["audit trail"] == "ok"
    assert snapshot(tmp_path) == before
    assert "all is well" in upgraded("doctor").out


def test_a_changed_model_fails(shop: Run, tmp_path: Path) -> None:
    shop("model", "register", "docs", "--artifact", str(artifact(tmp_path / "run")))
    assert shop("doctor").code == 0
    (weights,) = (tmp_path / ".samespace" / "models").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes() + b"\0")
    found = shop("doctor")
    assert found.code == 2
    assert "was changed" in found.out
    assert "1 of" in found.out


@pytest.mark.parametrize("harm", ["changed", "longer", "missing"])
def test_evidence_that_is_not_what_was_recorded_fails(
    upgraded: Run, tmp_path: Path, harm: str
) -> None:
    (path,) = (tmp_path / ".samespace" / "certificates").rglob("*.parquet")
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(data + b"x" if harm == "longer" else data[:-1] + bytes([data[-1] ^ 1]))
    found = upgraded("doctor", "--json").data
    (failed,) = [check for check in found["checks"] if not check["ok"]]
    assert failed["check"] == "certificates of shop"
    assert str(path) in failed["found"]


def test_another_package_of_our_name_is_reported(
    shop: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "registry.installation.packages_distributions",
        lambda: {"cli": ["samespace", "other-cli"], "registry": ["samespace"]},
    )
    found = shop("doctor", "--json").data
    (failed,) = [check for check in found["checks"] if not check["ok"]]
    assert failed["check"] == "installation"
    assert "other-cli ships a package 'cli' too" in failed["found"]


def test_canaries_that_do_not_sing_fail(shop: Run, tmp_path: Path) -> None:
    """The vectors that were saved are not what the model gives: something changed under it."""
    pytest.importorskip("torch")
    import torch

    from compat import Encoder, save_encoder
    from compat.backbones import build_backbone

    options = {"in_features": 4, "dim": 3}
    for seed, name in enumerate(("good", "bad")):
        torch.manual_seed(seed)
        encoder = Encoder(
            build_backbone("mlp", options), dim=3, backbone_name="mlp", backbone_options=options
        )
        save_encoder(encoder, tmp_path / name, canaries=torch.rand(4, 4))
    canaries = load_file(tmp_path / "bad" / "canaries.safetensors")
    canaries["vectors"] = np.roll(canaries["vectors"], 1, axis=1)
    save_file(canaries, tmp_path / "bad" / "canaries.safetensors")
    for name in ("good", "bad"):
        assert shop("model", "register", "docs", "--artifact", name).code == 0
    found = shop("doctor", "--json").data
    by_name = {check["check"]: check for check in found["checks"]}
    assert by_name["model docs@1"]["found"].startswith("ok: canaries reproduce within ")
    assert "canaries deviate" in by_name["model docs@2"]["found"]
    assert found["n_failed"] == 1


def test_every_bad_certificate_is_named(upgraded: Run, tmp_path: Path) -> None:
    assert upgraded(*CERTIFY).code == 0
    paths = sorted((tmp_path / ".samespace" / "certificates").rglob("*.parquet"))
    assert len(paths) == 2
    paths[0].unlink()
    paths[1].write_bytes(b"x")
    found = upgraded("doctor", "--json").data
    (failed,) = [check for check in found["checks"] if not check["ok"]]
    assert failed["check"] == "certificates of shop"
    assert f"{paths[0]} is missing" in failed["found"]
    assert f"{paths[1]} is not the file that was recorded" in failed["found"]


def test_a_corrupt_database_comes_with_a_hint(shop: Run, tmp_path: Path) -> None:
    (tmp_path / ".samespace" / "samespace.db").write_bytes(b"no database" * 100)
    found = shop("doctor")
    assert "file is not a database" in found.error
    assert "hint: restore it from a backup" in found.error
