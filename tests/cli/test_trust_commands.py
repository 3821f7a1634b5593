"""`explain`, `report`, `replay` and `calibrate`, with the real model, real files and real caches."""

import asyncio
import csv
import html.parser
import itertools
import json
import sys

import numpy as np
import pytest
from cli_helpers import fill, read

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.calls.identity import Place, new_id

ACTIONS = ["reset my password", "get a refund", "bake bread", "open an account", "plant tomatoes", "book a flight"]
WORDINGS = ["How do I {}?", "How can I {}?", "how to {}", "Please tell me how to {}"]
LOG = [(wording.format(action), action) for wording in WORDINGS for action in ACTIONS]
LOG += [
    ("How far is 5 miles in km?", "8.0"),
    ("How far is 6 miles in km?", "9.7"),
    ("How do I bake bread?", "bake bread"),
]


def write_jsonl(path, rows, names=("prompt", "answer")):
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_cells(path, rows, names, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)
    return path


@pytest.fixture
def log(tmp_path):
    return write_jsonl(tmp_path / "log.jsonl", LOG)


@pytest.fixture
def pairs(tmp_path):
    right = [(WORDINGS[i].format(a), WORDINGS[j].format(a), 1) for a in ACTIONS for i, j in ((0, 1), (0, 2), (1, 2))]
    wrong = [(WORDINGS[0].format(a), WORDINGS[1].format(b), 0) for a, b in itertools.pairwise(ACTIONS)]
    traps = [(f"How far is {n} miles in km?", f"How far is {n + 1} miles in km?", 0) for n in range(3, 9)]
    return write_cells(tmp_path / "pairs.tsv", right + wrong + traps, ("text_a", "text_b", "label"), "\t")


def one_line(result, code):
    assert result[0] == code
    assert result[1] == ""
    assert result[2].startswith("semantic-llm-cache: ")
    assert result[2].count("\n") == 1
    return result[2]


# ------------------------------------------------------------------------------ explain, a pair


def test_explain_a_pair_tells_every_guard_that_objects(run):
    code, out, _ = run("explain", "Is 5 miles far?", "Is 6 miles not far?", "--similarity", "0.5")
    assert code == 0
    assert "numbers: number 5 miles != 6 miles" in out
    assert "negation: " in out
    assert "verdict     different: veto: number 5 miles" in out


def test_explain_a_pair_in_json(run):
    code, out, _ = run("explain", "What is Python?", "What's Python?", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["similarity"] == pytest.approx(0.985, abs=0.002)
    assert (found["verdict"], found["objections"], found["threshold"]) == ("same", [], 0.95)
    found = json.loads(run("explain", "What is Python?", "Explain Python", "--json")[1])
    assert found["verdict"] == "different"
    assert "0.814 < 0.95" in found["reason"]


@pytest.mark.parametrize(
    ("guards", "verdict"), [("none", "same"), ("negation,emoji", "same"), ("numbers", "different")]
)
def test_explain_asks_the_guards_that_are_named(run, guards, verdict):
    argv = ("explain", "5 miles in km", "6 miles in km", "--similarity", "0.8", "--guards", guards, "--json")
    found = json.loads(run(*argv)[1])
    assert found["verdict"] == verdict
    assert [o["rule"] for o in found["objections"]] == (["numbers"] if verdict == "different" else [])


def test_explain_checks_what_is_left_of_long_prompts(run):
    passage = " ".join(f"The {i}th paragraph tells of rivers and of hills." for i in range(8))
    argv = ("explain", f"{passage} Translate it into French.", f"{passage} Count the vowels.", "--guards", "emoji")
    found = json.loads(run(*argv, "--json")[1])
    assert found["similarity"] > 0.9
    assert [o["rule"] for o in found["objections"]] == ["residual"]
    assert "< 0.6" in found["reason"]


def test_explain_knows_equal_texts_and_texts_too_long_to_read(run):
    assert "exact: same text" in run("explain", "What is Python?", "  What is Python? ")[1]
    long = "word " * 400
    assert "too long for the embedding model" in run("explain", long, long + "more")[1]


# ------------------------------------------------------------------------------ explain, a cache


@pytest.fixture
def cache(tmp_path):
    """A file with answers of two scopes, stored by the engine itself."""
    path = tmp_path / "cache.db"
    stored = [
        ("faq", {"model": "small"}, "How do I reset my password?", "Small: by mail."),
        ("faq", {"model": "large"}, "How do I reset my password?", "Large: by mail."),
        ("faq", {"model": "small"}, "How far is 5 miles in km?", "8.0"),
        ("other", {"model": "small"}, "What is the capital of Peru?", "Lima"),
    ]

    async def write():
        async with SemanticCache(SQLiteBackend(db_path=str(path)), similarity=0.9) as engine:
            for namespace, scope, text, answer in stored:
                await engine.get_or_call(Request(namespace, scope, text), lambda answer=answer: answer)

    asyncio.run(write())
    return path


def test_explain_shows_what_each_scope_would_serve(run, cache):
    code, out, _ = run("explain", "How can I reset my password?", "--db", cache, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["exact"] == []
    assert [row["verdict"] for row in found["nearest"][:2]] == ["same", "same"]
    assert len({row["scope"] for row in found["nearest"][:2]}) == 2
    served = {scope: hit["prompt"] for scope, hit in found["served"].items() if hit}
    assert list(served.values()) == ["How do I reset my password?"] * 2
    assert all(row["age"] < 60 for row in found["nearest"])


def test_explain_agrees_with_the_engine(run, cache):
    """What `explain` says is served is what the engine then serves."""

    async def ask(text, scope):
        async with SemanticCache(SQLiteBackend(db_path=str(cache)), similarity=0.8) as engine:
            return await engine.lookup(Request("faq", scope, text))

    for text in ("How can I reset my password?", "How far is 6 miles in km?", "How far is 5 miles in km?"):
        found = json.loads(run("explain", text, "--db", cache, "--similarity", "0.8", "--json")[1])
        lookup = asyncio.run(ask(text, {"model": "small"}))
        served = found["served"].get(lookup.scope)
        if lookup.outcome == "exact":
            assert lookup.key in {item["key"] for item in found["exact"]}
        elif lookup.hit:
            assert served["key"] == lookup.entry_key
        else:
            assert served is None


def test_explain_shows_vetoes_and_exact_entries(run, cache):
    out = run("explain", "How far is 6 miles in km?", "--db", cache, "--similarity", "0.8")[1]
    assert "No entry has exactly this text." in out
    assert "numbers: number 6 miles != 5 miles" in out
    assert "different: veto: number 6 miles" in out
    assert ", namespace faq, " in out
    out = run("explain", "How far is 5 miles in km?", "--db", cache)[1]
    assert "exact: this text is stored" in out


def test_explain_limits_entries_and_namespace(run, cache):
    found = json.loads(run("explain", "capital of Peru", "--db", cache, "--k", "2", "--json")[1])
    assert len(found["nearest"]) == 2
    found = json.loads(run("explain", "capital of Peru", "--db", cache, "--namespace", "other", "--json")[1])
    assert [row["namespace"] for row in found["nearest"]] == ["other"]


def test_explain_says_when_vectors_are_of_another_embedder(run, tmp_path):
    path = tmp_path / "old.db"
    fill(path)
    out = run("explain", "What is Rust?", "--db", path)[1]
    assert "No entry has a vector to compare with." in out
    assert "1 entry has a vector of another embedder (" in out
    assert "--embedder" in out


def test_explain_never_writes_what_a_terminal_obeys(run, tmp_path, cache):
    async def write():
        async with SemanticCache(SQLiteBackend(db_path=str(cache)), similarity=0.9) as engine:
            await engine.get_or_call(Request("x\x1b[2J", None, "red \x1b[31malert"), lambda: "x")

    asyncio.run(write())
    assert "\x1b" not in run("explain", "red alert", "--db", cache)[1]
    assert "\x1b" not in run("explain", "red \x1b[31malert", "red 'a\x1b[2J' 5")[1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["a"], "second text, or a cache"),
        (["a", "b", "--db", "x.db"], "leave out"),
        (["  "], "empty"),
        (["a", "b", "--guards", "numbrs"], "numbrs"),
        (["a", "b", "--embedder", "nonsense"], "unknown embedding provider"),
    ],
)
def test_explain_says_what_is_wrong_with_the_command_line(run, argv, said):
    assert said in one_line(run("explain", *argv), 2)


# ------------------------------------------------------------------------------ report


def test_report_wrong_evicts_and_counts(run, tmp_path):
    path = tmp_path / "cache.db"
    fill(path)
    code, out, _ = run("report", "wrong", "bb22", "--db", path)
    assert (code, "Evicted bb22-hours" in out) == (0, True)
    assert "bb22-hours" not in read(path)
    assert run("report", "right", "aa11-p", "--db", path, "--json")[0] == 0
    assert "aa11-python" in read(path)
    counters = json.loads(run("stats", "--db", path, "--json")[1])["namespaces"]
    assert counters["default"]["reported_wrong"] == 1
    assert counters["docs"]["reported_right"] == 1
    assert "reported_wrong" not in counters["docs"]


@pytest.mark.parametrize(("key", "said"), [("aa11", "begins 2 keys"), ("zz", "no entry's key begins")])
def test_report_refuses_a_key_that_is_not_one_entry(run, tmp_path, key, said):
    path = tmp_path / "cache.db"
    fill(path)
    assert said in one_line(run("report", "wrong", key, "--db", path), 1)
    assert len(read(path)) == 4


def test_report_takes_the_id_of_a_call(run, tmp_path):
    path = tmp_path / "cache.db"
    fill(path)
    entries = read(path)
    wrong, right, old = (
        new_id(False, Place(key, entries[key].created_at + later))
        for key, later in (("bb22-hours", 0), ("aa11-python", 0), ("aa11-python", 1))
    )
    assert run("report", "wrong", wrong, "--db", path)[0] == 0
    assert "bb22-hours" not in read(path)
    assert "no longer in the cache" in run("report", "wrong", wrong, "--db", path)[1]
    assert "newer answer" in run("report", "wrong", old, "--db", path)[1]
    code, out, _ = run("report", "right", right, "--db", path, "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "counted")
    assert "aa11-python" in read(path)
    assert "is not the id of a call" in one_line(run("report", "wrong", wrong[:-2], "--db", path), 1)
    assert "nothing to report on" in one_line(run("report", "wrong", new_id(False, None), "--db", path), 1)


# ------------------------------------------------------------------------------ replay


def test_replay_counts_hits_and_wrong_hits_by_quarter(run, log):
    code, out, err = run("replay", log, "--similarity", "0.8", "--guards", "none")
    assert code == 0
    assert "27 requests, threshold 0.8, guards none" in out
    assert [line.split()[0] for line in out.splitlines()[3:8]] == ["quarter"] * 4 + ["all"]
    assert "asked | answered from" in out
    assert "How far is 6 miles in km?" in out
    assert "wrong, of hits: " in out
    assert "wrong, of all requests: 3.70 % (95 %: " in out
    assert "replaying" in err
    assert max(map(len, out.splitlines())) <= 80


def test_replay_in_json_with_and_without_guards(run, log):
    bare = json.loads(run("replay", log, "--similarity", "0.8", "--guards", "none", "--json")[1])
    code, out, err = run("replay", log, "--similarity", "0.8", "--json")
    guarded = json.loads(out)
    assert (code, err) == (0, "")
    assert (bare["total"]["near_wrong"], guarded["total"]["near_wrong"]) == (1, 0)
    assert bare["worst"] == [
        {
            "similarity": pytest.approx(0.9, abs=0.09),
            "prompt": "How far is 6 miles in km?",
            "answer": "9.7",
            "matched_prompt": "How far is 5 miles in km?",
            "served": "8.0",
        }
    ]
    assert guarded["worst"] == []
    total = guarded["total"]
    assert (total["requests"], total["exact"]) == (27, 1)
    assert total["near"] >= 6
    assert total["hit_rate"] == (total["exact"] + total["near"]) / 27
    assert sum(quarter["near"] for quarter in guarded["quarters"]) == total["near"]
    only = json.loads(run("replay", log, "--similarity", "0.8", "--guards", "negation", "--json")[1])
    assert only["total"]["near_wrong"] == 1


def test_replay_reads_all_three_kinds_of_file_alike(run, tmp_path, log):
    odd = [('What is a "tab"?', "1"), ("A, B", "2"), ('"All" of "it"', "3"), *LOG[:6]]
    files = [
        write_jsonl(tmp_path / "a.jsonl", odd, ("id", "Query")),
        write_cells(tmp_path / "a.csv", odd, ("id", "Query")),
        write_cells(tmp_path / "a.tsv", odd, ("id", "Query"), "\t"),
    ]
    bare = tmp_path / "b.tsv"
    bare.write_text("id\tQuery\n" + "".join(f"{p}\t{a}\n" for p, a in odd), encoding="utf-8")
    found = []
    for path in [*files, bare]:
        result = json.loads(
            run("replay", path, "--prompt-column", "id", "--answer-column", "Query", "--json", "--guards", "none",
                "--similarity", "0.1", "--worst", "50")[1]
        )  # fmt: skip
        assert result["total"]["requests"] == 9
        found.append(result["worst"])
    assert found[0]
    assert all(worst == found[0] for worst in found)


def test_replay_with_an_error_budget(run, log):
    code, out, _ = run("replay", log, "--max-error", "0.5", "--similarity", "0.6", "--seed", "3")
    assert code == 0
    assert "max_error 0.5, floor 0.6, seed 3, guards default" in out
    assert "bound 50 % of all requests: kept" in out
    one = json.loads(run("replay", log, "--max-error", "0.5", "--similarity", "0.6", "--seed", "3", "--json")[1])
    two = json.loads(
        run("replay", log, "--policy", "online", "--max-error", "0.5", "--similarity", "0.6", "--seed", "3", "--json")[
            1
        ]
    )
    assert one == two
    default = json.loads(run("replay", log, "--policy", "online", "--json")[1])
    assert (default["max_error"], default["similarity"]) == (0.02, 0.5)
    per_hit = json.loads(run("replay", log, "--max-error-per-hit", "0.1", "--json")[1])
    assert (per_hit["policy"], per_hit["max_error"], per_hit["max_error_per_hit"]) == ("online", None, 0.1)


def test_replay_of_the_first_rows_only(run, log):
    assert json.loads(run("replay", log, "--limit", "5", "--json")[1])["total"]["requests"] == 5


def test_replay_compares_long_answers_by_meaning_when_asked(run, tmp_path):
    one = "To reset your password, open the settings page, choose security, and press the reset button there."
    other = "Open the settings page, choose security and press the reset button there to reset your password."
    path = write_jsonl(
        tmp_path / "log.jsonl", [("How do I reset my password?", one), ("How can I reset my password?", other)]
    )
    code, out, _ = run("replay", path)
    assert code == 0
    assert "--answers meaning" in out
    assert json.loads(run("replay", path, "--json")[1])["total"]["near_wrong"] == 1
    assert json.loads(run("replay", path, "--json", "--answers", "meaning")[1])["total"]["near_wrong"] == 0


# ------------------------------------------------------------------------------ bad files


@pytest.mark.parametrize("command", ["replay", "calibrate"])
class TestBadFiles:
    def test_a_file_that_is_not_there(self, run, tmp_path, command):
        assert "no such file" in one_line(run(command, tmp_path / "typo.jsonl"), 1)

    def test_a_file_of_another_kind(self, run, tmp_path, command):
        (tmp_path / "log.parquet").write_bytes(b"PAR1")
        assert ".jsonl" in one_line(run(command, tmp_path / "log.parquet"), 2)

    @pytest.mark.parametrize(
        ("name", "text"), [("a.jsonl", ""), ("a.csv", ""), ("a.csv", "prompt,answer\n"), ("a.tsv", "\n\n")]
    )
    def test_an_empty_file(self, run, tmp_path, command, name, text):
        (tmp_path / name).write_text(text)
        assert "holds no rows" in one_line(run(command, tmp_path / name), 1)

    @pytest.mark.parametrize("line", ['{"prompt": "b", ', "[1, 2]", "\x00"])
    def test_a_line_that_is_no_json_object_is_told_by_number(self, run, tmp_path, command, line):
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"prompt": "a", "answer": "1"}}\n\n{line}\n{{"prompt": "c", "answer": "1"}}\n')
        assert "line 3: not" in one_line(run(command, path), 1)

    @pytest.mark.parametrize(
        ("name", "text"), [("a.csv", "prompt,answer\na,1\nb\n"), ("a.tsv", "prompt\tanswer\na\t1\nb\n")]
    )
    def test_a_line_with_too_few_fields_is_told_by_number(self, run, tmp_path, command, name, text):
        (tmp_path / name).write_text(text)
        assert "line 3: 1 fields, but the heading has 2" in one_line(run(command, tmp_path / name), 1)

    def test_a_csv_with_an_open_quote(self, run, tmp_path, command):
        (tmp_path / "a.csv").write_text('prompt,answer\n"a,1\nb,2\n')
        assert ": line " not in one_line(run(command, tmp_path / "a.csv"), 1)

    def test_a_row_without_the_column(self, run, tmp_path, command):
        path = tmp_path / "a.jsonl"
        path.write_text('{"prompt": "a", "answer": "1"}\n{"prompt": "b"}\n')
        assert "line 2: no 'answer'" in one_line(run(command, path), 1)

    def test_no_column_of_a_usual_name_lists_the_columns(self, run, tmp_path, command):
        path = write_cells(tmp_path / "a.csv", [("x", "y")], ("ask", "reply"))
        error = one_line(run(command, path), 2)
        assert "no column of prompts found; name one of these with --prompt-column: ask, reply" in error

    def test_a_column_that_is_not_there_lists_the_columns(self, run, log, command):
        error = one_line(run(command, log, "--prompt-column", "ask"), 2)
        assert "no column 'ask'; it has: prompt, answer" in error

    def test_text_that_is_not_utf8(self, run, tmp_path, command):
        (tmp_path / "a.csv").write_bytes(b"prompt,answer\ncaf\xe9,1\n")
        assert "not UTF-8" in one_line(run(command, tmp_path / "a.csv"), 1)

    def test_a_file_name_cannot_steer_the_terminal(self, run, tmp_path, command):
        assert "\x1b" not in one_line(run(command, tmp_path / "\x1b[2J.csv"), 1)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--policy", "threshold", "--max-error", "0.1"], "--policy online"),
        (["--guards", "numbrs"], "unknown rule 'numbrs': did you mean 'numbers'? Known rules: default"),
        (["--embedder", "nonsense"], "nonsense"),
    ],
)
def test_replay_says_what_is_wrong_with_the_command_line(run, log, argv, said):
    assert said in one_line(run("replay", log, *argv), 2)


@pytest.mark.parametrize("argv", [["--max-error", "2"], ["--similarity", "x"], ["--limit", "0"], ["--worst", "-1"]])
def test_values_out_of_range_are_refused_before_any_work(run, log, argv):
    code, out, err = run("replay", log, *argv)
    assert (code, out) == (2, "")
    assert argv[0] in err


@pytest.mark.parametrize("argv", [["explain", "a", "b"], ["replay", "LOG"], ["calibrate", "LOG"]])
def test_without_the_model_the_remedy_is_named(run, log, monkeypatch, argv):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_MODEL", str(log.parent / "nowhere"))
    error = one_line(run(*[log if part == "LOG" else part for part in argv], "--embedder", "onnx"), 2)
    assert "SEMANTIC_LLM_CACHE_MODEL" in error or "install" in error


# ------------------------------------------------------------------------------ calibrate


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_calibrate_pairs_finds_that_guards_allow_a_lower_threshold(run, pairs):
    code, out, err = run("calibrate", pairs, "--target-error", "0.05", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["kind"], found["rows"], found["folds"]) == ("pairs", 29, 5)
    bare, guarded = found["no_guards"], found["guards"]
    assert guarded["threshold"] is not None
    assert bare["threshold"] is None or guarded["threshold"] < bare["threshold"]
    assert guarded["held_out_wrong_of_hits"] <= 0.05
    low, high = guarded["held_out_wrong_of_hits_95"]
    assert low <= guarded["held_out_wrong_of_hits"] <= high
    assert len(guarded["threshold_by_fold"]) == 5
    ratios = [point["hit_ratio"] for point in guarded["curve"]]
    assert ratios == sorted(ratios, reverse=True)
    assert guarded == json.loads(run("calibrate", pairs, "--target-error", "0.05", "--json")[1])["guards"]


def test_calibrate_a_log_as_text(run, log):
    code, out, _ = run("calibrate", log, "--target-error", "0.1", "--folds", "3")
    assert code == 0
    assert "27 requests, target 10 % wrong of the hits" in out
    assert "1 of them repeat a text" in out
    assert "guards default: threshold" in out
    assert "held out: " in out
    assert "too few to confirm 10 %" in out
    assert "replay LOG --similarity" in out
    assert max(map(len, out.splitlines())) <= 90


def test_calibrate_without_guards_shows_one_column(run, pairs):
    found = json.loads(run("calibrate", pairs, "--guards", "none", "--json")[1])
    assert "guards" not in found
    assert "no_guards" in found


def test_calibrate_says_when_nothing_meets_the_target(run, tmp_path):
    rows = [(f"How far is {n} miles?", f"How far is {n + 1} miles?", 0) for n in range(12)]
    path = write_cells(tmp_path / "p.csv", rows, ("question1", "question2", "is_duplicate"))
    code, out, _ = run("calibrate", path, "--guards", "none")
    assert code == 0
    assert "no threshold from 0.5 meets the target" in out
    assert "the least wrong share over all rows is 100.00 %" in out
    assert "ask for a higher --target-error" in out
    assert max(map(len, out.splitlines())) <= 90


FEW = """\
How much is plan 2?|20
How much is plan 1?|10
How does shipping abroad work?|5 days
How does shipping work?|2 days
How do I pay?|card
How can I pay?|card
What does plan 1 cost?|10
How do I return an item?|30 days
How can I return an item?|30 days
When are you open?|9 to 5
How do I reset my password?|link
How can I reset my password?|link
What are your opening hours?|9 to 5
How does international shipping work?|5 days
How do I cancel my order?|menu
How can I cancel my order?|menu
"""


def test_calibrate_says_when_the_rows_are_too_few_to_confirm_a_threshold(run, tmp_path):
    path = write_cells(tmp_path / "few.csv", [row.split("|") for row in FEW.splitlines()], ("prompt", "answer"))
    code, out, _ = run("calibrate", path, "--target-error", "0.02", "--guards", "none")
    print(out)
    assert code == 0
    assert "and the rows are too few to confirm it on held-out folds: give more rows" in out


@pytest.mark.parametrize(("words", "ending"), [((), ""), (("--guards", "none"), " --guards none")])
def test_the_replay_that_calibrate_names_has_the_same_guards(run, log, words, ending):
    out = run("calibrate", log, "--target-error", "0.1", "--folds", "3", *words)[1]
    threshold = json.loads(run("calibrate", log, "--target-error", "0.1", "--folds", "3", *words, "--json")[1])
    chosen = threshold["no_guards" if words else "guards"]["threshold"]
    assert f"replay LOG --similarity {chosen:.3f}{ending}\n" in out


@pytest.mark.parametrize("label", ["2", "", "maybe", "0.5"])
def test_a_label_that_is_not_0_or_1_is_told_by_line(run, tmp_path, label):
    path = write_cells(tmp_path / "p.csv", [("a", "b", 1), ("c", "d", label)], ("text_a", "text_b", "label"))
    error = one_line(run("calibrate", path), 1)
    assert "line 3: label is" in error
    assert "not 0 (different) or 1 (the same)" in error


def test_labels_may_be_booleans(run, tmp_path):
    rows = [(f"question {i}", f"query {i}", i % 2 == 0) for i in range(6)]
    path = write_jsonl(tmp_path / "p.jsonl", rows, ("prompt_a", "prompt_b", "same"))
    assert json.loads(run("calibrate", path, "--json", "--folds", "2")[1])["rows"] == 6


def test_pairs_without_labels_and_too_few_rows(run, tmp_path):
    path = write_cells(tmp_path / "p.csv", [("a", "b", 1)], ("text_a", "text_b", "score"))
    assert "no labels" in one_line(run("calibrate", path), 2)
    path = write_cells(tmp_path / "q.csv", [("a", "b", 1)], ("text_a", "text_b", "label"))
    code, _, err = run("calibrate", path)
    assert code == 1
    assert "5 folds need at least 5 rows, got 1: give more rows, or fewer folds" in err
    assert "at least 2" in one_line(run("calibrate", path, "--folds", "1"), 2)


def test_the_png_is_a_picture(run, pairs, tmp_path):
    path = tmp_path / "curve.png"
    code, out, _ = run("calibrate", pairs, "--target-error", "0.05", "--plot", path)
    assert (code, "Plot: " in out) == (0, True)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data[12:16] == b"IHDR"
    assert data.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (960, 600)


def test_the_html_is_whole_and_asks_for_nothing_from_outside(run, pairs, tmp_path):
    named = pairs.rename(tmp_path / "a<b>&c.tsv")
    path = tmp_path / "curve.html"
    assert run("calibrate", named, "--target-error", "0.05", "--plot", path)[0] == 0
    text = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    assert tags.seen.count("polyline") == 2
    assert "a&lt;b&gt;&amp;c.tsv" in text
    assert not {"script", "link", "img", "iframe"} & set(tags.seen)
    assert not [value for name, value in tags.attributes if name in ("src", "href")]
    assert "http" not in text
    points = next(value for name, value in tags.attributes if name == "points")
    numbers = np.array([[float(n) for n in point.split(",")] for point in points.split()])
    assert ((numbers >= 0) & (numbers <= [800, 480])).all()


@pytest.mark.parametrize(
    ("name", "said"), [("curve.gif", ".png or .html"), ("no/curve.png", "directory does not exist")]
)
def test_a_plot_that_cannot_be_written_is_refused_first(run, pairs, tmp_path, name, said):
    assert said in one_line(run("calibrate", pairs, "--plot", tmp_path / name), 2)


def test_a_png_without_matplotlib_names_the_extra(run, pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in one_line(run("calibrate", pairs, "--plot", tmp_path / "c.png"), 2)
    assert run("calibrate", pairs, "--plot", tmp_path / "c.html")[0] == 0
