"""Commands given what cannot be read: one line that names it, no traceback, nothing lost."""

import json
import os
import subprocess
import sys

import pytest
from cli_helpers import read

HUGE = "9" * 400
RECORD = {"key": "k", "prompt": "a prompt", "response": "an answer"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ttl": 10**400}, "ttl="),
        ({"created_at": 10**400}, "created_at="),
        ({"embedding": [10**400, 1.0]}, "'embedding'"),
        ({"embedding": [1e308 * 10, 1.0]}, "'embedding'"),
        ({"hit_count": -(10**400)}, "hit_count="),
        ({"cost_usd": 10**400}, "cost_usd="),
        ({"response": float("inf")}, "'response'"),
        ({"schema_version": 10**400}, "schema_version"),
        ({"tags": [10**400]}, "tags"),
        ({"response": {"deep": [10**400]}}, None),  # a whole number of any size is a value
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_numbers_in_an_import(run, tmp_path, db, change, says, suffix):
    path = tmp_path / f"in{suffix}"
    record = {**RECORD, **change}
    path.write_text(json.dumps([record]) if suffix == ".json" else json.dumps(record) + "\n")
    before = read(db)
    code, _, err = run("import", path, "--db", db)
    assert "Traceback" not in err
    if says is None:
        assert code == 0
        return
    assert code == 1
    assert says in err
    assert len(err.splitlines()) == 1
    assert read(db).keys() == before.keys()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000, "NaN", "Infinity"])
def test_numbers_as_they_are_written(run, tmp_path, db, number):
    path = tmp_path / "in.jsonl"
    path.write_text(f'{{"key": "k", "prompt": "p", "response": 1, "ttl": {number}}}\n')
    code, _, err = run("import", path, "--db", db)
    assert (code, len(err.splitlines())) == (1, 1)
    assert "line 1" in err


@pytest.mark.parametrize("value", [HUGE, "9" * 5000, "1e999", "-1", "0", "nan", "inf", "", "x", "1e400", "²"])
@pytest.mark.parametrize(
    "command",
    [
        ["ls", "--db", "{db}", "--limit", "{}"],
        ["explain", "a", "b", "--similarity", "{}", "--embedder", "dummy"],
        ["explain", "a", "--k", "{}", "--db", "{db}", "--embedder", "dummy"],
        ["replay", "{log}", "--limit", "{}", "--embedder", "dummy"],
        ["replay", "{log}", "--seed", "{}", "--embedder", "dummy"],
        ["replay", "{log}", "--max-error", "{}", "--embedder", "dummy"],
        ["calibrate", "{log}", "--max-error", "{}", "--embedder", "dummy"],
        ["copy", "{db}", "other.db", "--batch", "{}"],
        ["reembed", "{db}", "--model", "dummy", "--batch", "{}"],
        ["reembed", "{db}", "--model", "dummy", "--rate", "{}"],
        ["reembed", "{db}", "--model", "dummy", "--pause", "{}"],
        ["warm", "{log}", "--db", "{db}", "--ttl", "{}"],
        ["warm", "{log}", "--db", "{db}", "--max-age", "{}"],
    ],
    ids=lambda command: f"{command[0]} {command[-2] if command[-2].startswith('--') else command[2]}",
)
def test_numbers_of_options(run, tmp_path, db, monkeypatch, command, value):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_text('{"prompt": "a", "response": "b"}\n' * 3)
    words = [word.replace("{db}", str(db)).replace("{log}", str(log)).replace("{}", value) for word in command]
    code, _, err = run(*words)
    assert code in (0, 1, 2)
    assert "Traceback" not in err
    assert len(err) < 8000


COMMANDS_WITH_TEXT = [
    ["explain", "{}", "b", "--embedder", "dummy"],
    ["explain", "a", "{}", "--embedder", "dummy"],
    ["explain", "{}", "--db", "{db}", "--embedder", "dummy"],
    ["ls", "--db", "{db}", "--search", "{}"],
    ["ls", "--db", "{db}", "--namespace", "{}"],
    ["show", "{}", "--db", "{db}"],
    ["invalidate", "{}", "--db", "{db}"],
    ["invalidate", "--tag", "{}", "--db", "{db}"],
    ["clear", "--yes", "--namespace", "{}", "--db", "{db}"],
    ["stats", "--namespace", "{}", "--db", "{db}"],
    ["copy", "{db}", "other.db", "--namespace", "{}"],
    ["explain", "a", "b", "--embedder", "{}"],
    ["explain", "a", "b", "--guards", "{}", "--embedder", "dummy"],
]


@pytest.mark.parametrize("command", COMMANDS_WITH_TEXT, ids=lambda command: " ".join(command[:3]))
def test_arguments_that_are_not_utf8(run, tmp_path, db, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    bad = os.fsdecode(b"caf\xe9")  # as Python hands over such an argument
    before = read(db)
    code, _, err = run(*[word.replace("{db}", str(db)).replace("{}", bad) for word in command])
    assert code in (1, 2)
    assert "Traceback" not in err
    assert "UTF-8" in err
    assert read(db).keys() == before.keys()


FILES = [
    ["import", "{file}", "--db", "{db}"],
    ["replay", "{file}", "--embedder", "dummy"],
    ["calibrate", "{file}", "--embedder", "dummy"],
    ["warm", "{file}", "--db", "{db}"],
    ["export", "-", "--db", "{file}"],
]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".txt", ""])
@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b'{"prompt": "caf\xe9"}\n', b"", b"\0" * 100, b"prompt,response\n\xe9,b\n", b"[" * 3000]
)
@pytest.mark.parametrize("command", FILES, ids=lambda command: command[0])
def test_files_that_cannot_be_read(run, tmp_path, db, command, data, suffix):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(data)
    before = read(db)
    code, _, err = run(*[word.replace("{db}", str(db)).replace("{file}", str(path)) for word in command])
    assert code in (0, 1, 2)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 6
    assert read(db).keys() == before.keys()


@pytest.mark.parametrize("command", [["import", "-"], ["clear"]])
def test_bytes_on_stdin(tmp_path, db, command):
    done = subprocess.run(
        [sys.executable, "-m", "semantic_llm_cache", *command, "--db", str(db)],
        input=b'{"key": "caf\xe9"}\n', capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_real_command_line_that_is_not_utf8(db):
    done = subprocess.run(
        [sys.executable, "-m", "semantic_llm_cache", "explain", b"caf\xe9", "b", "--embedder", "dummy"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"PROMPT" in done.stderr or b"prompt" in done.stderr
    assert b"Traceback" not in done.stderr
