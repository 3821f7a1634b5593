"""The project's own tables of traps and paraphrases, and the script that measures guards on labelled pairs."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.trust import guards_eval, traps

from semantic_llm_cache.matching.guards import resolve_guards

ALL = resolve_guards("default")


@pytest.mark.parametrize("table", ["TRAPS", "HELD_OUT_TRAPS"])
def test_traps_are_refused(table: str) -> None:
    rows = getattr(traps, table)
    through = [row for row in rows if ALL.check(row.a, row.b) is None]
    assert len(through) <= 0.05 * len(rows), through


@pytest.mark.parametrize("table", ["PARAPHRASES", "HELD_OUT_PARAPHRASES"])
def test_paraphrases_are_kept(table: str) -> None:
    rows = getattr(traps, table)
    lost = [(row, str(ALL.check(row.a, row.b))) for row in rows if ALL.check(row.a, row.b) is not None]
    assert len(lost) <= 0.05 * len(rows), lost


def test_tables_are_large_and_speak_ten_languages() -> None:
    for table in (traps.TRAPS, traps.PARAPHRASES):
        assert len(table) >= 100
        assert len({row.language for row in table}) >= 10
    every = [*traps.TRAPS, *traps.PARAPHRASES, *traps.HELD_OUT_TRAPS, *traps.HELD_OUT_PARAPHRASES]
    assert len({(row.kind, row.a, row.b) for row in every}) == len(every)
    assert all(row.a != row.b for row in every)


def test_rates_at_equal_hits() -> None:
    pairs = [
        guards_eval.Pair("sort ascending", "sort descending", False),
        guards_eval.Pair("a dog", "one dog", True),
        guards_eval.Pair("a cat", "one cat", True),
        guards_eval.Pair("far", "away", False),
    ]
    similarity = np.array([0.99, 0.97, 0.96, 0.5], np.float32)
    (row,) = guards_eval.evaluate(pairs, similarity, ALL, [0.9])
    assert (row["bare_hits"], row["guarded_hits"]) == (3, 2)
    assert row["bare_wrong"] == pytest.approx(1 / 3)
    assert row["guarded_wrong"] == 0.0
    assert row["equal_hits_wrong"] == 0.5  # the two nearest: the trap and one right pair
    assert row["equal_hits_threshold"] == pytest.approx(0.97)
    assert (row["right_kept"], row["wrong_refused"]) == (1.0, 1.0)
    assert row["vetoes"] == {"antonyms": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.tsv"
    rows = [("text_a", "text_b", "label"), ("sort ascending", "sort descending", "0")]
    rows += [(f"What is the capital of {x}?", f"What's the capital of {x}?", "1") for x in ("Peru", "Chad", "Cuba")]
    rows += [('"say ""hi"" twice"', "say hi two times", "1")]
    file.write_text("\n".join("\t".join(r) for r in rows) + "\n", encoding="utf-8")
    return file


def test_command_line_with_the_real_model(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "cosines.npy"
    arguments = ["--data", str(data), "--cosines", str(kept), "--no-traps"]
    assert guards_eval.main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    row = report["data"]["pairs.tsv"]["all"][0]
    assert row["guarded_hits"] == row["bare_hits"] - 1
    assert len(np.load(kept)) == 5
    assert guards_eval.main(arguments) == 0
    assert "antonyms 1" in capsys.readouterr().out


def test_missing_or_odd_data_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no data file at"):
        guards_eval.main(["--data", str(tmp_path / "none.tsv"), "--no-traps"])
    odd = tmp_path / "odd.tsv"
    odd.write_text("a\tb\n1\t2\n")
    with pytest.raises(SystemExit, match="needs the columns text_a, text_b and label"):
        guards_eval.load_pairs(odd)
