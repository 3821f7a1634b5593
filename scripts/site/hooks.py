"""Hooks of mkdocs: the pages that lie at the root of the repository are pages of the site too."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

from scripts.site.check import foreign_files  # noqa: E402

PAGES = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security-policy.md", "CHANGELOG.md": "changelog.md"}
"""File at the root -> page of the site."""

_CODE_OR_MATH = re.compile(
    r"(?P<code>^ *```.*?^ *```|`[^`\n]+`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*?[^\s$])?)\$(?!\d)",
    re.DOTALL | re.MULTILINE,
)

_PICTURE = re.compile(r"(!\[[^]]*\]\([^)\s]+)-light(\.(?:svg|png))\)")
"""A picture of which there is a dark one too. Elsewhere than on the site the light one is shown."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie at the root."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        # Links in them start at the root.
        text = re.sub(r"\]\(docs/", "](", text)
        for other, target in PAGES.items():
            text = re.sub(rf"\]\({re.escape(other)}", f"]({target}", text)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Point links to pages at the root to the pages of the site."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in PAGES.items():
        markdown = re.sub(rf"\]\((?:\.\./)+{re.escape(source)}", f"]({up}{target}", markdown)
    markdown = _PICTURE.sub(r"\1-light\2#only-light)\1-dark\2#only-dark)", markdown)
    return _CODE_OR_MATH.sub(_mathml, markdown)


def _mathml(match: re.Match[str]) -> str:
    """Return a formula as MathML, which browsers draw without a script; code stays."""
    if match["code"]:
        return match["code"]
    return str(convert(match["block"] or match["inline"], display="block" if match["block"] else "inline"))


def on_post_build(*, config: Any) -> None:
    """Refuse a site of which a page loads anything from another host."""
    found = list(foreign_files(Path(config.site_dir)))
    if found:
        raise PluginError("the site must work offline, but\n" + "\n".join(found))
