"""Distributions of somebody else's, as an installer would leave them in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest


def install(
    monkeypatch: pytest.MonkeyPatch, site: Path, *, group: str, points: str, **modules: str
) -> None:
    """Lay a distribution into a folder that Python then searches.

    Args:
        monkeypatch: puts the folder on Python's path, for one test.
        site: the folder.
        group: the group of its entry points.
        points: its entry points, a line each, such as ``mine = my_module``.
        modules: its modules' texts by name; a name that is used once, since Python keeps modules.
    """
    site.mkdir(exist_ok=True)
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    info = site / f"{next(iter(modules), 'nothing')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: somebody_elses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    monkeypatch.syspath_prepend(site)
