"""The regression watch compares ratios with a committed baseline."""

import pytest
from benchmarks import __main__ as command
from benchmarks import baseline
from benchmarks.harness import Figure, at_least, at_most

MACHINE = {"cpu": "a processor", "cores": 2, "load": 0.1}


def figure(ratio, what="a hit", target=None):
    return Figure("exact", what, 1.0, "s", "a dict", 1.0, ratio, ratio, ratio, target)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "baseline.json"


def saved(file, *ratios, target=None):
    for ratio in ratios:
        baseline.save([figure(ratio, target=target)], MACHINE, file)
    return baseline.load(file)


def test_a_ratio_outside_the_noise_is_worse(file):
    expected = saved(file, 1.0, 1.02)
    text, worse = baseline.check([figure(1.2)], expected, MACHINE)
    assert worse == 1
    assert "worse: exact: a hit / a dict: 1.2x, was 1x to 1.02x" in text


@pytest.mark.parametrize("ratio", [0.95, 1.0, 1.09])
def test_a_ratio_within_the_noise_is_not_reported(file, ratio):
    text, worse = baseline.check([figure(ratio)], saved(file, 1.0), MACHINE)
    assert worse == 0
    assert text == "1 ratios compared with the baseline, 0 worse than their noise"


def test_runs_that_differ_widen_the_noise(file):
    expected = saved(file, 1.0, 1.3)
    assert baseline.check([figure(1.6)], expected, MACHINE)[1] == 0
    assert baseline.check([figure(1.8)], expected, MACHINE)[1] == 1


def test_where_more_is_better_less_is_worse(file):
    expected = saved(file, 3.0)
    assert baseline.check([figure(2.0, target=at_least(2))], expected, MACHINE)[1] == 1
    text, worse = baseline.check([figure(4.0, target=at_least(2))], expected, MACHINE)
    assert worse == 0
    assert "better: " in text
    assert baseline.check([figure(4.0, target=at_most(5))], expected, MACHINE)[1] == 1


@pytest.mark.parametrize(("load", "busy"), [(14.3, True), (1.9, False), (None, False)])
def test_a_busy_machine_is_said(file, load, busy):
    text, worse = baseline.check([figure(1.0)], saved(file, 1.0), {**MACHINE, "load": load})
    assert ("busy (load 14.3 on 2 cores), so ratios scatter" in text) is busy
    assert worse == 0


def test_another_machine_and_new_ratios_are_said(file):
    expected = saved(file, 1.0)
    text, _ = baseline.check([figure(1.0), figure(2.0, "another")], expected, {**MACHINE, "cpu": "other"})
    assert "the baseline is of another machine (a processor, 2 cores)" in text
    assert "not in the baseline: 1 ratios" in text


def test_saving_keeps_the_last_runs_and_replaces_another_machine(file):
    saved(file, *[1.0 + i / 100 for i in range(7)])
    assert baseline.load(file)["ratios"] == {"exact: a hit / a dict": [1.02, 1.03, 1.04, 1.05, 1.06]}
    baseline.save([figure(9.0)], {**MACHINE, "cores": 8}, file)
    assert baseline.load(file)["ratios"] == {"exact: a hit / a dict": [9.0]}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ratios": {"a": []}}', '{"ratios": {"a": ["x"]}}', '{"ratios": 1}'])
def test_a_file_that_holds_no_baseline_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(baseline.BaselineError, match="--save-baseline"):
        baseline.load(file)
    baseline.save([figure(1.0)], MACHINE, file)
    assert baseline.load(file)["ratios"]


def test_a_missing_file_names_the_way_to_make_it(file, monkeypatch, capsys):
    monkeypatch.setattr(baseline.load, "__defaults__", (file,))
    with pytest.raises(SystemExit):
        command.main(["import", "--check"])
    assert "write one with --save-baseline" in capsys.readouterr().err


def test_a_quick_run_is_not_compared(capsys):
    with pytest.raises(SystemExit):
        command.main(["import", "--quick", "--check"])
    assert "--quick measures nothing" in capsys.readouterr().err


def test_the_committed_baseline_can_be_read_and_names_subsets():
    names = baseline.load()["ratios"]
    assert {name.partition(":")[0] for name in names} <= set(command.SUBSETS)
