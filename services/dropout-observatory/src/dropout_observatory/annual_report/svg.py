"""An SVG made fit to stand in a page beside others: identifiers of its own, its words, its colours, no style that reaches beyond it."""

from __future__ import annotations

import re
from html import escape

from dropout_observatory.annual_report import palette

# The typeface that the compiler of the PDF brings along: no font of a machine is asked for.
PRINT_FONT = "Libertinus Serif"
_FONT = re.compile(r"(font(?:-family)?): ([^;\"]*?)'DejaVu Sans'[^;\"]*")
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"\s*<style.*?</style>", re.DOTALL)
_ROOT = re.compile(r"<svg[^>]*?viewBox=\"([^\"]+)\"[^>]*>")


def for_print(svg: str) -> str:
    """As the compiler of the PDF takes it."""
    return _rooted(
        _FONT.sub(rf"\1: \2'{PRINT_FONT}'", _plain(svg)), f'font-family="{PRINT_FONT}" stroke-linejoin="round"'
    )


def for_page(svg: str, key: str, title: str, description: str) -> str:
    """As it stands inline in a page; `key` is its own in the page."""
    text = _FONT.sub(r"\1: \2var(--font)", palette.by_name(_plain(svg)))
    text = re.sub(r'(?<= )id="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', text)
    told = (
        f'class="plot" role="img" aria-labelledby="{key}-title" aria-describedby="{key}-desc" stroke-linejoin="round"'
    )
    words = f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    return _rooted(text, told, words)


def _plain(svg: str) -> str:
    return _STYLE.sub("", _METADATA.sub("", svg)).replace("xlink:href", "href")


def _rooted(svg: str, attributes: str, words: str = "") -> str:
    """The root element anew: as wide as its place lets it."""
    box = _ROOT.search(svg)
    assert box is not None
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}" {attributes}>{words}{svg[box.end() :]}'
