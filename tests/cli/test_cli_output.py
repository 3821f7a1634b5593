import types
import unicodedata

import pytest
from cli_helpers import terminal_output
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from semantic_llm_cache.cli import output
from semantic_llm_cache.cli.progress import Progress, follow
from semantic_llm_cache.values.odd_text import unescape


@given(st.text())
def test_clean_leaves_nothing_that_a_terminal_obeys(text):
    for lines in (False, True):
        shown = output.clean(text, lines=lines)
        allowed = {"\n", "\t"} if lines else set()
        assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in allowed]
        shown.encode("utf-8")


@given(st.text(), st.integers(4, 60))
def test_fit_never_exceeds_the_width(text, width):
    cut = output.fit(output.clean(text), width)
    assert cell_len(cut) <= width


def test_fit_counts_wide_characters_as_two():
    assert output.fit("東京東京東京", 9) == "東京東..."
    assert output.fit("東京", 4) == "東京"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.000 ms"), (0.0421, "0.042 ms"), (0.42, "0.42 ms"), (0.96, "1.0 ms"), (9.96, "10.0 ms"),
     (99.6, "100 ms"), (999, "999 ms"), (1000, "1.0 s"), (59_000, "59.0 s"), (61_000, "61.0 s"), (660_000, "11.0 min"),
     (-5, "-5.0 ms")],
)  # fmt: skip
def test_milliseconds(value, text):
    assert output.milliseconds(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (200_000, "2 d")]
)
def test_age(seconds, text):
    assert output.age(seconds) == text


LONG = "long " * 60


def test_a_piped_table_is_whole_and_plain(capsys):
    output.print_table(("n", "text"), [("1", "東京"), ("1000", LONG), ("2", "[red]:smile:[/red]")], right=(0,))
    assert capsys.readouterr().out.splitlines() == [
        "   n  text",
        "   1  東京",
        f"1000  {LONG.rstrip()}",
        "   2  [red]:smile:[/red]",
    ]


def test_a_table_on_a_terminal_fits_it_and_shows_markup_as_it_is():
    rows = [("1", "short"), ("1000", LONG), ("2", "[red]:smile:[/red]")]
    shown = terminal_output(lambda: output.print_table(("n", "text"), rows, right=(0,)))
    lines = _plain(shown).splitlines()
    assert max(map(len, lines)) <= 40
    assert any("   1" in line and "short" in line for line in lines)
    assert any("[red]:smile:[/red]" in line for line in lines)
    assert any(line.rstrip().endswith("…") for line in lines)


def test_say_colours_on_a_terminal_only_and_not_with_no_color(capsys, monkeypatch):
    output.say(output.dim("x"))
    assert capsys.readouterr().out == "x\n"
    assert terminal_output(lambda: output.say(output.dim("x"))).startswith("\x1b[2mx")
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.colour() is False


def test_progress_on_a_terminal_is_one_line_that_fits_and_goes_away():
    def work():
        with Progress(3) as progress:
            for number in range(3):
                progress.step(f"[red]{number} a note that is rather long, longer than the line has room for")
            progress._bar[0].refresh()

    shown = terminal_output(work, columns=60)
    drawn = [line for line in _plain(shown).replace("\r", "\n").split("\n") if line.strip()]
    assert any("3/3  [red]2 a note" in line for line in drawn)
    assert max(map(len, drawn)) <= 60
    assert shown.rstrip().endswith("\x1b[1A\x1b[2K")  # up, and the line is erased


def _plain(text):
    import re

    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_progress_elsewhere_is_a_few_plain_lines(capsys):
    with Progress(100) as progress:
        for number in range(100):
            progress.step(f"step {number + 1}")
    assert capsys.readouterr().err.splitlines() == [f"{n:>3}/100  step {n}" for n in (20, 40, 60, 80, 100)]


def test_progress_by_many_steps_at_once_in_percent_and_past_the_end(capsys):
    with Progress(1000, percent=True) as progress:
        for count in (100, 0, 500, 500):
            progress.step(f"{count}", count)
    assert capsys.readouterr().err.splitlines() == [" 60 %  500", "100 %  500"]


def test_progress_where_nobody_knows_how_much_there_is(capsys, monkeypatch):
    def work():
        with Progress(None) as progress:
            progress.step("entries read", 1234)
            progress._bar[0].refresh()

    shown = terminal_output(work, columns=60)
    assert "1,234  entries read" in _plain(shown)
    assert "━" not in shown
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Progress(None) as progress:
        for now in (1.0, 9.0, 10.0, 15.0, 20.0):
            progress.step(f"at {now}", 1000)
    assert capsys.readouterr().err.splitlines() == ["3,000  at 10.0", "5,000  at 20.0"]


def test_progress_by_reports(capsys):
    report = types.SimpleNamespace(total=10, read=0, copied=0)
    with follow(lambda r: f"{r.copied} copied") as show:
        for report.read in (4, 4, 10):
            report.copied += 1
            show(report)
    assert capsys.readouterr().err.splitlines() == [" 4/10  1 copied", "10/10  3 copied"]


def test_progress_that_is_off_writes_nothing():
    def work():
        with Progress(2, enabled=False) as progress:
            progress.step("x")
        print("end", end="")

    assert terminal_output(work) == "end"


async def test_odd_text_is_printed_as_json_that_can_be_imported(tmp_path, capsys):
    import asyncio
    import json

    from semantic_llm_cache.backends import SQLiteBackend
    from semantic_llm_cache.cli import main
    from semantic_llm_cache.config import CacheEntry

    odd = ["cut \ud83d", "pair \ud83d\ude00", "nul \x00"]
    async with SQLiteBackend(tmp_path / "c.db") as backend:
        for text in odd:
            await backend.set(text, CacheEntry(text, {text: text}, namespace=text, tags=(text,), ttl=None))
    for argv in (["ls", "--json"], ["export", "-"], ["ls"]):
        assert await asyncio.to_thread(main, [*argv, "--db", str(tmp_path / "c.db")]) == 0
        shown = capsys.readouterr().out
        shown.encode()
    lines = await asyncio.to_thread(main, ["export", "-", "--db", str(tmp_path / "c.db")])
    assert lines == 0
    records = [json.loads(unescape(line)) for line in capsys.readouterr().out.splitlines()]
    assert sorted(record["prompt"] for record in records) == sorted(odd)
    assert all(record["response"] == {record["prompt"]: record["prompt"]} for record in records)
