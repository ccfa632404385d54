"""Reports on a certification: one HTML page, Markdown for a pull request, JUnit XML for CI."""

from __future__ import annotations

from .contents import BackfillCurve, BackfillPoint, Entry, Report, RocCurve, RocPoint
from .junit import render_junit
from .markdown import render_markdown
from .measured import backfill_curves, roc_curves
from .page import render_html

__all__ = [
    "BackfillCurve",
    "BackfillPoint",
    "Entry",
    "Report",
    "RocCurve",
    "RocPoint",
    "backfill_curves",
    "render_html",
    "render_junit",
    "render_markdown",
    "roc_curves",
]
