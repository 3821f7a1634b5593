"""The commands `judge` and `calibrate judge`, and `invalidate --depends-on`."""

import json

import pytest

from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.calls.evidence import evidence_tags
from semantic_llm_cache.cli import main
from semantic_llm_cache.config import CacheEntry

PAIRS = [
    ("What is six times seven?", "42", "The answer is 42.", True),
    ("What is the capital of France?", "Paris", "The capital of France is Paris.", True),
    ("What is six times seven?", "42", "The answer is 43.", False),
    ("Is it safe?", "Yes.", "No, it is not.", False),
]


def run(capsys, *argv):
    code = main(list(argv))
    return code, *capsys.readouterr()


def test_a_verdict_is_explained(capsys):
    code, out, _ = run(capsys, "judge", "42", "The answer is 42.", "--embedder", "none")
    assert (code, out.split()[0]) == (0, "same")
    code, out, _ = run(capsys, "judge", "ascending order", "descending order", "--embedder", "none", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["same"], found["layer"]) == (False, "conflict")
    assert found["reason"].startswith("antonyms: ")


def test_the_judge_is_measured_on_labelled_pairs(capsys, tmp_path):
    path = tmp_path / "pairs.jsonl"
    names = ("question", "fresh", "stored", "same")
    path.write_text("".join(json.dumps(dict(zip(names, pair, strict=True))) + "\n" for pair in PAIRS))
    code, out, _ = run(capsys, "calibrate", "judge", str(path), "--embedder", "none")
    assert code == 0
    assert out.startswith("4 pairs\ncalled the same: 100.0% of those that are, 0.0% of those that are not\n")
    code, out, _ = run(capsys, "calibrate", "judge", str(path), "--embedder", "none", "--json")
    assert json.loads(out)["pairs"] == 4


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("calibrate", "judge", "none.jsonl"), "there is no file none.jsonl"),
        (("calibrate", "judge"), "calibrate judge needs a FILE of labelled pairs"),
        (("calibrate", "a.tsv", "b.tsv"), "calibrate takes one file"),
        (("judge", "a"), "B"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, argv, text):
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert text in err


def test_pairs_of_answers_are_recognised_without_the_word_judge(capsys, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"question": "q", "fresh": "a", "stored": "a", "same": true}\n')
    code, _, err = run(capsys, "calibrate", str(path))
    assert code == 2
    assert f"calibrate judge {path}" in err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"question": "q", "fresh": "a", "stored": "b"}', "line 1 has no 'same'"),
        ('{"question": "q", "stored": "b", "same": true}', "line 1 has no 'fresh'"),
        (
            '{"question": "q", "fresh": "a", "stored": "b", "same": "maybe"}',
            "line 1: same='maybe' must be true or false",
        ),
        ("question,fresh,stored,same", "line 1 is no JSON object"),
        ("[1]", "line 1 is no JSON object"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(capsys, tmp_path, line, text):
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n")
    code, _, err = run(capsys, "calibrate", "judge", str(path), "--embedder", "none")
    assert code == 1
    assert text in err


def test_a_judge_error_that_cannot_be_passed_is_not_recommended(capsys, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"question": "Who?", "fresh": "Ann did it.", "stored": "It was Bob.", "same": true}\n'
        '{"question": "Who?", "fresh": "Ann did it.", "stored": "It was Bob.", "same": false}\n'
    )
    code, out, _ = run(capsys, "calibrate", "judge", str(path), "--embedder", "none")
    assert code == 0
    assert "judge_error=" not in out
    assert "too few pairs" in out
    code, out, _ = run(capsys, "calibrate", "judge", str(path), "--embedder", "none", "--json")
    assert json.loads(out)["judge_error"] is None


def test_a_file_without_both_kinds_of_pairs_says_so(capsys, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"question": "q", "fresh": "a", "stored": "a", "same": true}\n')
    code, _, err = run(capsys, "calibrate", "judge", str(path), "--embedder", "none")
    assert code == 1
    assert "pairs that are the same and pairs that are not" in err


async def test_entries_are_removed_by_what_they_rest_on(capsys, tmp_path):
    import asyncio

    async with SQLiteBackend(tmp_path / "c.db") as backend:
        for name in ("doc:1", "doc:17"):
            await backend.set(name, CacheEntry(name, "a", tags=evidence_tags({name: "v1"}), ttl=None))
    argv = ["invalidate", "--depends-on", "doc:17", "--db", str(tmp_path / "c.db")]
    assert await asyncio.to_thread(main, argv) == 0
    assert capsys.readouterr().out == "Deleted 1 entry.\n"
