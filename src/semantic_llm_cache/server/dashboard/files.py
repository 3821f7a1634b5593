"""The files of the dashboard: pages with a few places to fill, and what browsers load as it is."""

from __future__ import annotations

import hashlib
import html
from functools import cache
from importlib.resources import files
from string import Template
from typing import NamedTuple

__all__ = ["Asset", "asset", "page"]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOLDER = files(__package__).joinpath("static")


class Asset(NamedTuple):
    """A file for browsers.

    Attributes:
        body: its bytes.
        media_type: its type, as in ``Content-Type``.
        etag: changes when the file does.
    """

    body: bytes
    media_type: str
    etag: str


@cache
def _assets() -> dict[str, Asset]:
    found = {}
    for file in _FOLDER.iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            found[file.name] = Asset(body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    return found


def asset(name: str) -> Asset | None:
    """Return a file by its name; None if there is none.

    Example:
        >>> asset("no-such-file.js") is None
        True
    """
    return _assets().get(name)


@cache
def _template(name: str) -> Template:
    return Template(_FOLDER.joinpath(f"{name}.html").read_text(encoding="utf-8"))


def page(name: str, **places: str) -> str:
    """Return a page as HTML.

    Args:
        name: of the page: ``"dashboard"``, ``"login"`` or ``"refused"``.
        places: the text for each ``$place`` in it. All of it is escaped.
    """
    return _template(name).substitute({place: html.escape(text) for place, text in places.items()})
