from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.worlds import N_ITEMS, OLD_DIM, Run, snapshot

DELETE = ("gallery", "delete", "shop")
# a test runner in the background leaves SIGINT ignored, and children inherit that
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from cli.main import main
main()
"""
COMMAND = (sys.executable, "-c", PROGRAM)


def test_deleted_items_are_found_no_more(shop: Run) -> None:
    search = ("gallery", "search", "shop", "--vectors", "queries_old.npy", "--first", "1")
    first = shop(*search, "-k", "1", "--json").data["queries"][0]["hits"][0]["id"]
    assert shop(*DELETE, first, "--yes").out == "deleted 1 items from 'shop'\n"
    hits = shop(*search, "-k", str(N_ITEMS - 1), "--json").data["queries"][0]["hits"]
    assert first not in [hit["id"] for hit in hits]
    assert shop(*search, "-k", str(N_ITEMS)).code == 2


def test_ids_may_come_from_a_file(shop: Run, tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("sku-0001\nsku-0002\n")
    found = shop(*DELETE, "--ids", "gone.txt", "--yes", "--json").data
    assert found["n_deleted"] == 2


def test_whole_numbers_are_ids_of_a_gallery_that_has_such(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(3, OLD_DIM, dtype=np.float32))
    shop("gallery", "create", "shelf", "products@1")
    shop("gallery", "add", "shelf", "--vectors", "v.npy")
    assert shop("gallery", "delete", "shelf", "0", "2", "--yes").code == 0
    found = shop("gallery", "delete", "shelf", "one", "--yes")
    assert found.code == 2
    assert "names items by whole numbers" in found.error


def test_a_dry_run_deletes_nothing(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert shop(*DELETE, "sku-0001", "--dry-run").out == "would delete 1 items\n"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either ITEMS or --ids FILE"),
        (("sku-0001", "--ids", "item_ids.txt"), "give either ITEMS or --ids FILE"),
        (("sku-0001", "sku-9999"), "1 of 2 ids are not in gallery 'shop', for example 'sku-9999'"),
        (("sku-0001", "sku-0001"), "more than once"),
        (("--ids", "nowhere.txt"), "there is no file nowhere.txt"),
    ],
)
def test_wrong_use_deletes_nothing(
    shop: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = snapshot(tmp_path)
    found = shop(*DELETE, *arguments, "--yes")
    assert found.code == 2
    assert words in found.error
    assert snapshot(tmp_path) == before


def test_where_nobody_can_answer_it_refuses_instead_of_waiting(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    ended = subprocess.run(
        [*COMMAND, *DELETE, "sku-0001"],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: delete 1 items from 'shop'? – nobody is there to answer\nhint: add --yes\n"
    )
    assert snapshot(tmp_path) == before


def test_an_interrupt_at_the_question_ends_with_130(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *DELETE, "sku-0001"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.read(6) == b"delete"
        assert _interrupted(process) == 130
        assert b"error: interrupted; what was committed stays" in process.stderr.read()
        assert process.stdout.read() == b""
    os.close(ours)
    os.close(theirs)
    assert snapshot(tmp_path) == before


def _interrupted(process: subprocess.Popen[bytes]) -> int | None:
    """Interrupt until it ends: a signal just before the read begins only makes it wait on."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(2)
    process.kill()
    return None
