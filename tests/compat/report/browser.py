"""A real browser without a window, and what a page looks like in it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(
    not BROWSER, reason="no chromium, chromium-browser or google-chrome is installed"
)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--allow-file-access-from-files", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
_SECONDS = 300  # starting it takes seconds, and minutes on a machine that does other things
_WRAPPER = """<!DOCTYPE html><meta charset="utf-8"><title>wait</title>
<style>body { margin: 0 } iframe { border: 0; height: 900px }</style>
<pre id="found"></pre>
<script>
const widths = WIDTHS, found = {};
function channel(v) { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }
function parts(c) { return c.match(/[\\d.]+/g).map(Number); }
function light(c) {
  const [r, g, b] = parts(c).map(channel); return .2126 * r + .7152 * g + .0722 * b;
}
function behind(e) {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (parts(c)[3] !== 0) return c;
  }
  return 'rgb(255, 255, 255)';
}
function worst(page) {
  let least = [99, ''];
  for (const e of page.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (['title', 'desc'].includes(e.localName) || e.style.fill) continue;
    const style = getComputedStyle(e), drawn = e.closest('svg');
    const pair = [light(drawn ? style.fill : style.color), light(behind(drawn || e))].sort();
    const [low, high] = pair[0] < pair[1] ? pair : [pair[1], pair[0]];
    const ratio = (high + .05) / (low + .05);
    if (ratio < least[0]) least = [ratio, e.localName + ': ' + e.textContent.slice(0, 40)];
  }
  return least;
}
function measure(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  const texts = [...page.querySelectorAll('svg text')].map(t => t.getBoundingClientRect());
  return {
    inner: frame.contentWindow.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
    paper: getComputedStyle(page.body).backgroundColor,
    contrast: worst(page),
    verdict: page.querySelector('.verdict').innerText,
    rows: page.querySelectorAll('tbody tr').length,
    plots: page.querySelectorAll('svg[role]').length,
    maps: page.querySelectorAll('.heat rect').length, title: page.title,
    text: page.body.innerText, ran: 'planted' in frame.contentWindow,
    narrow: [...page.querySelectorAll('.plot')].filter(p => p.clientWidth < 250).length,
    clipped: [...page.querySelectorAll('.scroll')].filter(
      s => s.scrollWidth > s.clientWidth + 1).length,
    outside: texts.filter(r => r.width && (r.left < -1)).length,
  };
}
let left = widths.length;
for (const width of widths) {
  const frame = document.createElement('iframe');
  frame.style.width = width + 'px';
  frame.onload = () => {
    found[width] = measure(frame); frame.remove();
    if (--left === 0) document.getElementById('found').textContent = JSON.stringify(found);
  };
  frame.src = 'PAGE';
  document.body.append(frame);
}
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What a browser left: the page as it stood at the end, and what it complained of."""

    dom: str
    errors: str

    @property
    def complaints(self) -> list[str]:
        """Lines of the console: script errors and what the page's policy refused."""
        return [line for line in self.errors.splitlines() if "CONSOLE" in line]


def visit(page: Path, *more: str) -> Visit:
    """Open a page and return what became of it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [BROWSER, *_FLAGS, f"--user-data-dir={profile}", *more, page.as_uri()]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True, errors="replace"
        )
    return Visit(done.stdout, done.stderr)


def measure(page: Path, widths: tuple[int, ...], *, scheme: str) -> dict[str, dict[str, Any]]:
    """Lay a page out at some widths, in the light or the dark scheme, and measure it."""
    wrapper = page.with_name(f"wrapper-{scheme}.html")
    text = _WRAPPER.replace("WIDTHS", json.dumps(widths)).replace("PAGE", page.name)
    wrapper.write_text(text, "utf-8")
    preferred = {"dark": 0, "light": 1}[scheme]
    seen = visit(
        wrapper,
        "--dump-dom",
        "--virtual-time-budget=20000",
        "--window-size=1400,1000",
        f"--blink-settings=preferredColorScheme={preferred}",
    )
    written = re.search(r'<pre id="found">(.*?)</pre>', seen.dom, re.DOTALL)
    assert written, seen.errors
    found: dict[str, dict[str, Any]] = json.loads(html.unescape(written[1]))
    return found
