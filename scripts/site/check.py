"""What must hold of the built site: no page loads anything from another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["foreign", "foreign_files"]

_LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "video": ("src", "poster"),
}
_LINKS = {"stylesheet", "icon", "preload", "preconnect", "prefetch", "dns-prefetch", "modulepreload", "manifest"}
_ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = _LOADED.get(tag, ())
        if tag == "link" and _LINKS & set(given.get("rel", "").lower().split()):
            names = ("href",)
        addresses = [given[name] for name in names if name in given]
        self.found += [address for address in addresses if _ELSEWHERE.match(address)]
        self.found += _STYLE.findall(given.get("style", ""))
        # The theme fetches the script for these drawings from a public host.
        if "mermaid" in given.get("class", "").split():
            self.found.append("a mermaid drawing")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.found += _STYLE.findall(data)


def foreign(html: str) -> list[str]:
    """Return what a page loads from another host."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def foreign_files(site: Path) -> Iterator[str]:
    """Yield a line for each thing that a page or a style sheet of the site loads from another host."""
    for page in sorted(site.rglob("*.html")):
        for address in foreign(page.read_text(encoding="utf-8")):
            yield f"{page.relative_to(site)} loads {address}"
    for style in sorted(site.rglob("*.css")):
        for address in _STYLE.findall(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)} loads {address}"
