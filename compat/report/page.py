"""The report as one HTML page that needs nothing else: no script, no request, no other file."""

from __future__ import annotations

from importlib.resources import files

from . import overview, words
from .contents import Report
from .integrity import integrity
from .pair_section import pair_section
from .text import Html, escape, join, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_html(report: Report) -> str:
    """Return the page. It holds numbers and names, never vectors or raw data."""
    pairs = [pair_section(place, entry) for place, entry in enumerate(report.entries)]
    main = (
        tag("h1", words.title(report)),
        overview.banner(report),
        overview.not_tested(report),
        overview.certificates(report),
        overview.matrix(report),
        *pairs,
        overview.curves(report),
        integrity(report),
    )
    body = (tag("main", join(main), {"id": "report"}), _footer(report))
    return (
        f"<!DOCTYPE html>\n{tag('html', join((_head(report), tag('body', join(body)))), _LANG)}\n"
    )


_LANG = {"lang": "en"}


def _head(report: Report) -> Html:
    style = files("compat.report").joinpath("page.css").read_text("utf-8")
    return tag(
        "head",
        Html(
            '<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<meta name="referrer" content="no-referrer">\n'
            f"<title>{escape(f'{report.verdict}: {words.title(report)}')}</title>\n"
            f"<style>\n{style}</style>"
        ),
    )


def _footer(report: Report) -> Html:
    made = report.entries[0].certificate.environment.get("samespace", "")
    text = f"Written {report.written_at:%Y-%m-%d %H:%M} UTC by samespace {made}. "
    more = (
        "It shows what certificates say and changes nothing: what is promoted is decided by the "
        "registry, on the certificate itself."
    )
    return tag("footer", tag("p", text + more))
