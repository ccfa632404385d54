from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from registry.domain.statements import PAYLOAD_TYPE, from_payload, to_payload
from registry.dsse import parse_envelope
from registry.keys import KeyRing
from tests.cli.worlds import CERTIFY, Run

EXPORTED = ("certificate", "replay", "it.json", "--evidence", "it.parquet")


@pytest.fixture
def exported(shop: Run) -> tuple[Run, str]:
    """The shop with a certificate that was exported with its evidence, and its digest."""
    (made,) = shop(*CERTIFY, "--json").data["certificates"]
    digest = str(made["digest"])
    out = shop("certificate", "export", digest, "it.json", "--evidence", "it.parquet").out
    assert out.endswith("into it.json, its evidence into it.parquet\n")
    return shop, digest


def test_is_replayed_in_the_registry(exported: tuple[Run, str]) -> None:
    shop, digest = exported
    found = shop("certificate", "replay", digest[:10], "--json").data
    assert (found["digest"], found["is_replayed"], found["difference"]) == (digest, True, None)
    assert found["verdict"] == "COMPATIBLE"
    assert shop("certificate", "replay", digest).out.startswith("REPLAYED: certificate ")
    assert shop("certificate", "replay", "fff").code == 2


def test_is_replayed_on_another_machine(
    exported: tuple[Run, str], tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, digest = exported
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("it.json", "it.parquet"):
        (tmp_path / name).rename(elsewhere / name)
    monkeypatch.chdir(elsewhere)
    other = KeyRing(elsewhere / "keys")
    monkeypatch.setenv("SAMESPACE_KEYS", str(other.folder))
    found = shop(*EXPORTED, "--json").data
    assert (found["digest"], found["key_id"], found["is_replayed"]) == (digest, None, True)
    assert "its signature was not verified" in shop(*EXPORTED).out
    other.create()
    refused = shop(*EXPORTED)
    assert (refused.code, "which you do not trust" in refused.error) == (6, True)
    other.trust(KeyRing(key_folder).signing.public, "alice")
    assert shop(*EXPORTED, "--json").data["key_id"] is not None


def test_a_forgery_that_is_signed_and_holds_together_is_found(
    exported: tuple[Run, str], tmp_path: Path, key_folder: Path
) -> None:
    shop, _ = exported
    envelope = parse_envelope((tmp_path / "it.json").read_text().strip(), "it")
    certificate = from_payload(envelope.payload)
    first = certificate.findings[0]
    better = replace(first, low=first.low + 0.01, high=first.high + 0.01)
    forged = replace(certificate, findings=(better, *certificate.findings[1:]))
    signed = KeyRing(key_folder).sign(PAYLOAD_TYPE, to_payload(forged))
    (tmp_path / "it.json").write_text(signed.to_text() + "\n")
    assert shop("certificate", "verify", "it.json").code == 0
    found = shop(*EXPORTED)
    assert found.code == 6
    assert found.out.startswith("NOT REPLAYED: ")
    assert "differs: findings, 1 (mAP in all), high: the certificate says" in found.out


def test_a_flipped_bit_of_the_evidence_is_named(exported: tuple[Run, str], tmp_path: Path) -> None:
    shop, digest = exported
    (stored,) = (tmp_path / ".samespace" / "certificates" / "shop").iterdir()
    for path, command in (
        (tmp_path / "it.parquet", EXPORTED),
        (stored, ("certificate", "replay", digest)),
    ):
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            changed = bytearray(whole)
            changed[position] ^= 4
            path.write_bytes(changed)
            found = shop(*command)
            assert (found.code, path.name in found.error) == (6, True)
            assert "expected sha256" in found.error


def test_wrong_use_is_refused(exported: tuple[Run, str], tmp_path: Path) -> None:
    shop, digest = exported
    assert shop("certificate", "replay", "it.json").code == 2
    assert shop("certificate", "replay", digest, "--evidence", "it.parquet").code == 2
    missing = shop("certificate", "replay", "it.json", "--evidence", "none.parquet")
    assert "there is no file none.parquet" in missing.error
    export = ("certificate", "export", digest)
    assert shop(*export, "same", "--evidence", "same").code == 2
    taken = shop(*export, "new.json", "--evidence", "it.parquet")
    assert (taken.code, "it.parquet exists already" in taken.error) == (5, True)
    assert not (tmp_path / "new.json").exists()


def test_neither_torch_nor_faiss_is_imported(exported: tuple[Run, str], tmp_path: Path) -> None:
    program = f"""
import sys
for name in ("torch", "faiss", "scipy"):
    sys.modules[name] = None
from cli.main import run
print(run({list(EXPORTED)!r}))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.stderr == ""
    assert ended.stdout.startswith("REPLAYED")
    assert ended.stdout.endswith("\n0\n")
