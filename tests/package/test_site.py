"""The documentation site works offline: no page loads anything from another host."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.site.check import foreign, foreign_files  # noqa: E402


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://unpkg.com/x"></script>', ["https://unpkg.com/x"]),
        ('<img src="//cdn.example/x.png">', ["//cdn.example/x.png"]),
        ('<link rel="preload stylesheet" href="http://a/b.css">', ["http://a/b.css"]),
        ("<style>body { background: url('https://a/b.png') }</style>", ["https://a/b.png"]),
        ('<p style="background:url(https://a/b)">x</p>', ["https://a/b"]),
        ('<pre class="mermaid"></pre>', ["a mermaid drawing"]),
        ('<script src="assets/x.js"></script><img src="../y.svg"><img src="data:image/png;base64,//8=">', []),
        ('<a href="https://example.com">a link loads nothing</a><link rel="canonical" href="https://a">', []),
        ('<svg xmlns="http://www.w3.org/2000/svg"></svg>', []),
    ],
)
def test_what_a_page_loads_from_another_host_is_found(html, found):
    assert foreign(html) == found


def test_no_page_of_the_site_loads_anything_from_another_host(tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
        timeout=120,
    )
    assert list(foreign_files(site)) == []
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "assets/iframe-worker.js" in home
    assert (site / "assets" / "iframe-worker.js").is_file()
    # The page of every exported name is there: mkdocstrings found it.
    assert 'id="semantic_llm_cache.SemanticCache"' in (site / "reference" / "api.html").read_text(encoding="utf-8")


def test_every_public_name_is_on_the_page_of_the_api():
    import semantic_llm_cache
    from semantic_llm_cache import exceptions

    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    named = {line.rpartition(".")[2].strip() for line in page.splitlines() if line.startswith("::: ")}
    assert "exceptions" in named
    assert set(semantic_llm_cache.__all__) - set(exceptions.__all__) - {"__version__"} <= named
