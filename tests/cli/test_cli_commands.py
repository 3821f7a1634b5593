"""The commands that look into a cache and manage it, on real SQLite files."""

import asyncio
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_helpers import ENTRIES, entry, fill, interruptible, read

from semantic_llm_cache import Request, SemanticCache, __version__

READING = [
    ["stats"],
    ["ls"],
    ["show", "aa11"],
    ["clear", "--yes"],
    ["invalidate", "python"],
    ["export", "-"],
]


def command(*argv, **options):
    return subprocess.run(
        [sys.executable, "-m", "semantic_llm_cache", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


# ------------------------------------------------------------------------------ which cache


@pytest.mark.parametrize("argv", READING)
def test_no_cache_named_is_a_usage_error_that_names_the_ways(run, argv):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--db" in err
    assert "--url" in err
    assert "SEMANTIC_LLM_CACHE_URL" in err


@pytest.mark.parametrize("argv", READING)
def test_a_missing_file_is_an_error_and_is_not_made(run, tmp_path, argv):
    path = tmp_path / "typo.db"
    for target in (("--db", path), ("--url", f"sqlite:///{path}")):
        code, out, err = run(*argv, *target)
        assert (code, out) == (1, "")
        assert "does not exist" in err
        assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", READING)
def test_a_file_that_is_no_cache_gives_one_line(run, tmp_path, argv):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at " * 200)
    before = path.read_bytes()
    code, _, err = run(*argv, "--db", path)
    assert code == 1
    assert err.startswith("semantic-llm-cache: ")
    assert err.count("\n") == 1
    assert path.read_bytes() == before


def test_a_directory_is_no_cache(run, tmp_path):
    assert run("ls", "--db", tmp_path)[0] == 1


def test_the_cache_can_come_from_the_environment(run, db, monkeypatch):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_URL", f"sqlite:///{db}")
    assert len(json.loads(run("ls", "--json")[1])) == len(ENTRIES)


def test_url_and_db_mean_the_same_file(run, db):
    assert run("ls", "--json", "--db", db)[1] == run("ls", "--json", "--url", f"sqlite:///{db}")[1]


def test_db_and_url_together_are_refused(run, db):
    assert run("ls", "--db", db, "--url", "sqlite:///x.db")[0] == 2


def test_an_unknown_scheme_names_the_known_ones(run):
    code, _, err = run("ls", "--url", "ftp://example/cache")
    assert code == 2
    assert "ftp" in err
    assert "sqlite" in err


def test_a_memory_url_is_refused_because_there_is_nothing_to_see(run):
    code, _, err = run("ls", "--url", "memory://")
    assert code == 2
    assert "one process" in err


# ------------------------------------------------------------------------------ ls


def test_ls_lists_newest_first_and_fits_80_columns(run, db):
    code, out, _ = run("ls", "--db", db)
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[1:]] == ["cc33-evi", "bb22-hou", "aa11-rus", "aa11-pyt"]
    assert max(map(len, lines)) <= 80


def test_ls_never_writes_what_a_terminal_obeys(run, db):
    _, out, _ = run("ls", "--db", db)
    assert "\x1b" not in out
    assert "red \\x1b[31malert second line" in out


def test_ls_shows_keys_long_enough_to_tell_them_apart(run, tmp_path):
    path = tmp_path / "c.db"
    fill(path, {"v1:" + "0" * 20 + letter: entry(f"prompt {letter}", "x") for letter in "abc"})
    _, out, _ = run("ls", "--db", path)
    for line in out.splitlines()[1:]:
        shown = line.split()[0]
        assert run("show", shown, "--db", path)[0] == 0


def test_ls_limit_says_what_is_left_out(run, db):
    _, out, _ = run("ls", "--db", db, "--limit", "1")
    assert "cc33" in out
    assert "bb22" not in out
    assert "1 of 4 shown" in out


def test_ls_filters_by_namespace_and_text(run, db):
    def keys(*argv):
        return [item["key"] for item in json.loads(run("ls", "--db", db, "--json", *argv)[1])]

    assert keys("--namespace", "docs") == ["aa11-rust", "aa11-python"]
    assert keys("--search", "opening HOURS") == ["bb22-hours"]
    assert keys("--namespace", "docs", "--search", "opening") == []


def test_ls_of_nothing(run, db):
    assert run("ls", "--db", db, "--search", "no such text") == (
        0,
        "No entry has 'no such text' in its prompt.\n",
        "",
    )
    assert run("ls", "--db", db, "--namespace", "none", "--json")[1] == "[]\n"


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_ls_limit_must_be_a_positive_number(run, db, value):
    assert run("ls", "--db", db, f"--limit={value}")[0] == 2


# ------------------------------------------------------------------------------ show


def test_show_prints_the_whole_entry(run, db):
    code, out, _ = run("show", "aa11-python", "--db", db)
    assert code == 0
    for expected in (
        "What is Python?",
        "A language.",
        "docs",
        "2 h ago",
        "never",
        "352 ms",
        "$0.25",
        "1,234 out",
        "languages, intro",
        "scope-1",
        "384 numbers by test-embedder",
    ):
        assert expected in out, expected


def test_show_takes_a_unique_prefix(run, db):
    assert "Opening Hours" in run("show", "bb", "--db", db)[1]


def test_show_refuses_a_prefix_of_several_and_names_them(run, db):
    code, out, err = run("show", "aa11", "--db", db)
    assert (code, out) == (1, "")
    assert "aa11-python, aa11-rust" in err


def test_show_of_an_unknown_key(run, db):
    code, _, err = run("show", "zz", "--db", db)
    assert code == 1
    assert "'zz'" in err


def test_show_json_has_every_field_and_the_vector(run, db):
    record = json.loads(run("show", "aa11-p", "--db", db, "--json")[1])
    want = ENTRIES["aa11-python"]
    np.testing.assert_allclose(record["embedding"], want.embedding, atol=1e-7)
    assert record["key"] == "aa11-python"
    assert record["tags"] == ["languages", "intro"]
    assert record["duration_ms"] == 351.5


def test_show_keeps_the_type_of_a_stored_tuple(run, db):
    record = json.loads(run("show", "aa11-r", "--db", db, "--json")[1])
    assert record["response"] == {"lines": [1, 2], "who": {"$": "tuple", "v": ["a", "b"]}}


def test_show_keeps_lines_and_disarms_escapes(run, db):
    _, out, _ = run("show", "cc33", "--db", db)
    assert "\x1b" not in out
    assert "\\x1b[2Jgone\n            second" in out


# ------------------------------------------------------------------------------ stats


def test_stats_shows_counters_by_namespace(run, db):
    counts = {"hits": 30, "misses": 10, "exact_hits": 20, "near_hits": 9, "coalesced_hits": 1}
    fill(db, {}, {"docs": {**counts, "saved_ms": 90_000.0, "saved_usd": 1.5}, "chat": {"misses": 60}})
    code, out, _ = run("stats", "--db", db)
    assert code == 0
    assert "4 entries" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["docs"] == ["docs", "40", "75.0", "%", "20", "9", "1", "10", "90.0", "s", "1.50"]
    assert rows["all"][1:3] == ["100", "30.0"]
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_stats_json(run, db):
    fill(db, {}, {"docs": {"hits": 1, "misses": 3}, "chat": {"hits": 5}})
    found = json.loads(run("stats", "--db", db, "--json", "--namespace", "docs")[1])
    assert found["backend"]["size"] == 4
    assert list(found["namespaces"]) == ["docs"]
    assert found["namespaces"]["docs"]["hit_rate"] == 0.25


def test_stats_shows_what_the_prompts_are_about(run, tmp_path):
    path = tmp_path / "about.db"

    async def fill():
        options = {"embedder": lambda text: (1.0, len(text) / 1000), "similarity": 0.9999999, "guards": None}
        async with SemanticCache(f"sqlite:///{path}", namespace="about", **options) as cache:
            for number in range(6):
                await cache.get_or_call(Request("about", {}, f"Reset password {'x' * number * 9}"), lambda: "so")

    asyncio.run(fill())
    out = run("stats", "--db", path)[1]
    assert re.search(r"prompts about +calls +near hits +wrong", out)
    assert re.search(r"password, reset +6 ", out)
    (found,) = json.loads(run("stats", "--db", path, "--json", "--namespace", "about")[1])["categories"]
    assert (found["label"], found["requests"]) == ("password, reset", 6)
    assert json.loads(run("stats", "--db", path, "--json", "--namespace", "x")[1])["categories"] == []


def test_stats_shows_the_error_budgets(run, tmp_path):
    path = tmp_path / "budgets.db"
    options = {"embedder": lambda text: (1.0, len(text) / 1000), "similarity": 0.5, "max_error": 0.02}
    options |= {"noise": "measure", "categories": {"code": {"max_error": 0.01}}}

    async def fill():
        async with SemanticCache(f"sqlite:///{path}", namespace="of:mine", **options) as cache:
            for number in range(6):
                await cache.get_or_call(Request("of:mine", {}, f"Reset password {'x' * number * 9}"), lambda: "so")

    asyncio.run(fill())
    out = run("stats", "--db", path)[1]
    assert re.search(r"error budget +bound +calls +near hits +wrong +noise", out)
    assert re.search(r"of:mine +2 % +6 +0 +0.0", out)
    (found,) = json.loads(run("stats", "--db", path, "--json", "--namespace", "of:mine")[1])["error_budgets"]
    assert (found["namespace"], found["category"], found["max_error"], found["requests"]) == ("of:mine", None, 0.02, 6)
    assert found["noise_pairs"] == 0
    assert json.loads(run("stats", "--db", path, "--json", "--namespace", "of")[1])["error_budgets"] == []


def test_stats_before_any_call(run, db):
    assert "No calls counted yet." in run("stats", "--db", db)[1]


# ------------------------------------------------------------------------------ clear, invalidate


def test_clear_in_a_script_needs_yes(run, db):
    code, _, err = run("clear", "--db", db, stdin="y\n")
    assert code == 2
    assert "--yes" in err
    assert len(read(db)) == 4


def test_clear_deletes_everything_or_one_namespace(run, db):
    assert run("clear", "--db", db, "--namespace", "docs", "--yes")[1] == "Deleted 2 entries.\n"
    assert sorted(read(db)) == ["bb22-hours", "cc33-evil"]
    assert json.loads(run("clear", "--db", db, "--yes", "--json")[1]) == {"deleted": 2}
    assert read(db) == {}


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 0), ("Yes\n", 0, 0), ("n\n", 1, 4), ("\n", 1, 4), ("", 1, 4)]
)
def test_clear_asks_on_a_terminal(db, capsys, monkeypatch, answer, code, left):
    from semantic_llm_cache.cli import main

    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    assert main(["clear", "--db", str(db)]) == code
    assert "Delete all 4 entries of" in capsys.readouterr().err
    assert len(read(db)) == left


def test_invalidate_by_text_and_by_tag(run, db):
    assert run("invalidate", "OPENING", "--db", db)[1] == "Deleted 1 entry.\n"
    assert json.loads(run("invalidate", "--tag", "intro", "--tag", "x", "--db", db, "--json")[1]) == {"deleted": 1}
    assert sorted(read(db)) == ["aa11-rust", "cc33-evil"]


def test_invalidate_with_text_and_tag_needs_both(run, db):
    assert run("invalidate", "rust", "--tag", "intro", "--db", db)[1] == "Deleted 0 entries.\n"
    assert len(read(db)) == 4


@pytest.mark.parametrize("argv", [[], [""]])
def test_invalidate_of_everything_is_refused(run, db, argv):
    code, _, err = run("invalidate", *argv, "--db", db)
    assert code == 2
    assert "PATTERN" in err
    assert len(read(db)) == 4


# ------------------------------------------------------------------------------ export, import


@pytest.mark.parametrize("name", ["all.json", "all.jsonl"])
def test_export_and_import_lose_nothing(run, db, tmp_path, name):
    other = tmp_path / "other.db"
    code, out, _ = run("export", tmp_path / name, "--db", db)
    assert (code, out) == (0, f"Exported 4 entries to {tmp_path / name}.\n")
    assert run("import", tmp_path / name, "--db", other)[:2] == (0, "Imported 4 entries.\n")
    before, after = read(db), read(other)
    assert before == after
    np.testing.assert_array_equal(before["aa11-python"].embedding, after["aa11-python"].embedding)


def test_export_to_stdout_can_be_piped_into_import(run, db, tmp_path):
    out = run("export", "-", "--db", db, "--namespace", "docs")[1]
    assert len([json.loads(line) for line in out.splitlines()]) == 2
    code, told, _ = run("import", "-", "--db", tmp_path / "b.db", "--json", stdin=out)
    assert (code, json.loads(told)) == (0, {"imported": 2})
    array = json.dumps([json.loads(line) for line in out.splitlines()])
    assert run("import", "-", "--db", tmp_path / "c.db", stdin=array)[1] == "Imported 2 entries.\n"
    assert read(tmp_path / "b.db") == read(tmp_path / "c.db")


def test_import_of_a_missing_file(run, tmp_path):
    code, _, err = run("import", tmp_path / "none.json", "--db", tmp_path / "b.db")
    assert code == 1
    assert "no such file" in err


@pytest.mark.parametrize("text", ["{not json", '[{"prompt": 1}]', '"text"', "[1, 2]"])
def test_import_of_something_else_gives_one_line(run, tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    code, out, err = run("import", path, "--db", tmp_path / "b.db")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1


def test_export_into_a_missing_directory(run, db, tmp_path):
    code, _, err = run("export", tmp_path / "no" / "x.json", "--db", db)
    assert code == 1
    assert "does not exist" in err


# ------------------------------------------------------------------------------ the program itself


def test_the_commands_are_all_there_and_their_help_has_examples(run):
    out = run("--help")[1]
    names = "demo stats ls show clear invalidate export import copy reembed warm model"
    for name in names.split():
        assert re.search(rf"\n  {name}\s", out)
        code, text, _ = run(name, "--help")
        assert code == 0
        assert f"semantic-llm-cache {name}" in text
        assert max(map(len, text.splitlines())) <= 83, name


def test_version(run):
    assert run("--version")[1] == f"semantic-llm-cache {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["ls", "--nonsense"], ["show"]])
def test_usage_errors_are_2(run, argv):
    assert run(*argv)[0] == 2


def test_both_ways_to_start_it_and_no_traceback_on_error(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "semantic-llm-cache")
    for start in ([script], [sys.executable, "-m", "semantic_llm_cache"]):
        done = subprocess.run(
            [*start, "ls", "--db", str(tmp_path / "x.db")], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            f"semantic-llm-cache: no cache at {tmp_path / 'x.db'}: the file does not exist"
        ]


def test_a_reader_that_goes_away_causes_no_traceback(tmp_path):
    path = tmp_path / "many.db"
    fill(path, {f"{i:05d}-key": entry(f"prompt number {i} " + "x" * 500, "y" * 500) for i in range(400)})
    process = subprocess.Popen(
        [sys.executable, "-m", "semantic_llm_cache", "export", "-", "--db", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert err == b""


def test_ctrl_c_at_a_question_interrupts(db):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "semantic_llm_cache", "clear", "--db", str(db)],
        stdin=theirs,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    )
    os.close(theirs)
    asked = b""
    while b"[y/N]" not in asked:
        asked += os.read(process.stderr.fileno(), 1000)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(20) == 130
        assert b"interrupted" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(ours)
    assert command("ls", "--db", db).stdout.count("aa11") == 2


def test_streams_that_are_closed_cause_no_traceback(db):
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        line = f'"$0" -m semantic_llm_cache ls --db "$1" {closed}'
        done = subprocess.run(["sh", "-c", line, sys.executable, str(db)], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), closed
        assert ("What is Rust?" in done.stdout) == (">&-" not in closed.split()), closed


def test_output_survives_a_terminal_that_cannot_show_the_prompt(tmp_path):
    path = tmp_path / "wide.db"
    fill(path, {"k" * 10: entry("東京の天気は?", "晴れ")})
    done = command("ls", "--db", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u6771" in done.stdout


def test_colour_only_on_a_terminal_and_not_with_no_color(db):
    assert "\x1b" not in command("ls", "--db", db).stdout
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        env = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **extra}
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "semantic_llm_cache", "ls", "--db", str(db)],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=env,
            timeout=60,
        )
        os.close(theirs)
        shown = os.read(ours, 65536)
        os.close(ours)
        assert done.returncode == 0
        assert (b"\x1b[" in shown) is coloured
