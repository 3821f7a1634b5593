"""The code blocks of the documentation run as written."""

import pathlib
from contextlib import closing

import pytest
from pages import PageRun, blocks, commands
from wire_provider import provider

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
RUN = ("python", "console", "set-up", "output")


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def local_provider():
    """What the pages' clients talk to. A set-up block says what it answers: it is there as `local_provider`."""
    with provider() as server:
        yield server


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language in RUN for b in blocks(p))], ids=name)
def test_blocks_run(page, tmp_path, monkeypatch, local_provider, only_own_engines):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    addresses = {"OPENAI_BASE_URL": "/v1", "ANTHROPIC_BASE_URL": "", "OLLAMA_HOST": ""}
    for variable, path in addresses.items():
        monkeypatch.setenv(variable, local_provider.url + path)
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "sk-local")
    with closing(PageRun(page)) as run:
        run.names["local_provider"] = local_provider
        for block in blocks(page):
            if block.language not in RUN or block.reason:
                continue
            try:
                run.run(block)
            except Exception as error:
                raise AssertionError(f"{name(page)}, line {block.line}: {error!r}") from error


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_name_their_language(page):
    for block in blocks(page):
        assert block.language, f"{name(page)}, line {block.line}: a code block without a language"


def test_few_blocks_do_not_run():
    shown = [b for p in PAGES for b in blocks(p) if b.language in ("python", "console")]
    assert len([b for b in shown if b.reason]) <= len(shown) // 5


def test_a_block_in_a_list_and_a_hidden_one_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- set-up\nx = 1\n-->\n\n- text\n\n  ```python\n  if x:\n      y = x\n  ```\n")
    hidden, shown = blocks(page)
    assert (hidden.language, hidden.code, hidden.line) == ("set-up", "x = 1\n", 2)
    assert (shown.language, shown.code, shown.line) == ("python", "if x:\n    y = x\n", 8)
    with closing(PageRun(page)) as run:
        run.run(hidden)
        run.run(shown)
    assert run.names["y"] == 1


def run_all(page):
    with closing(PageRun(page)) as run:
        for block in blocks(page):
            run.run(block)


def test_a_transcript_must_be_what_is_printed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ printf 'a 12 ms\\nb\\n'\na ... ms\nb\n```\n")
    run_all(page)
    page.write_text("```console\n$ printf 'a 12 ms\\nb\\n'\na ... ms\nc\n```\n")
    with pytest.raises(AssertionError, match="the page says"):
        run_all(page)
    page.write_text("```console\n$ exit 3\n```\n")
    with pytest.raises(AssertionError, match="status 3"):
        run_all(page)


def test_an_output_must_be_what_the_block_before_it_prints(tmp_path):
    page = tmp_path / "page.md"
    text = '```python\nprint("a", 12)\nprint("b")\n```\n\n```text title="Output"\na ...\n{}\n```\n'
    page.write_text(text.format("b"))
    run_all(page)
    page.write_text(text.format("c"))
    with pytest.raises(AssertionError, match="the page says"):
        run_all(page)


def test_a_block_with_a_name_is_a_file_for_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text('```python title="a.py"\nprint("here")\n```\n\n```console\n$ python a.py\nhere\n```\n')
    run_all(page)


def test_commands_go_on_after_a_backslash():
    assert commands("$ a \\\n> b\nout\n$ c\n") == [("a b", "out"), ("c", "")]
