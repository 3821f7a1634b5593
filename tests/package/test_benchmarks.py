"""The benchmarks run and report; that anything is fast is not asserted here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import data, peers, report, words  # noqa: E402
from benchmarks.__main__ import SUBSETS, main  # noqa: E402
from benchmarks.harness import Bench, Contender, Figure, at_least, at_most  # noqa: E402


@pytest.fixture
def bench():
    made = Bench(quick=True, peers=False)
    made.subset = "test"
    yield made
    made.close()


# ------------------------------------------------------------------------------------ whole


def test_quick_run_prints_the_table_and_writes_json_and_plots(tmp_path, capsys):
    names = ["exact", "near", "putget"]
    assert main([*names, "--quick", "--no-peers", "--json", str(tmp_path / "b.json"), "--plot", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for text in ("== exact", "== near", "== putget", "one executor hop", "numpy scan", "cores", "garbage collection"):
        assert text in printed
    assert "not measured: peers were left out" in printed
    assert "targets reached" in printed
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["versions"]["here"]["numpy"] == np.__version__
    assert {figure["subset"] for figure in found["figures"]} == set(names)
    judged = [figure for figure in found["figures"] if figure["target"] and figure["value"]]
    assert judged
    assert all(figure["verdict"] in ("pass", "short") for figure in judged)
    measured = [figure for figure in found["figures"] if figure["ratio"] is not None]
    assert all(figure["low"] <= figure["ratio"] <= figure["high"] for figure in measured)
    assert all(figure["value"] > 0 for figure in measured)
    ElementTree.parse(tmp_path / "exact.svg")


def test_quick_run_with_the_model(capsys):
    assert main(["hit", "loop", "embedding", "--quick", "--no-peers"]) == 0
    printed = capsys.readouterr().out
    for text in ("whole near hit", "longest stall", "longest callback", "near lookups at once", "texts/s"):
        assert text in printed
    assert "not measured" not in printed


def test_quick_run_with_a_client(capsys):
    assert main(["clients", "--quick"]) == 0
    printed = capsys.readouterr().out
    for text in ("one prompt, less the lookup", "prompts in turn", "plain client", "first chunk of a missed stream"):
        assert text in printed
    assert "not measured" not in printed


def test_memory_and_import_in_processes_of_their_own(capsys):
    assert main(["memory", "import", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "scopes of 10" in printed
    assert "import numpy, asyncio" in printed


def test_servers_in_a_quick_run(capsys, monkeypatch):
    monkeypatch.setenv("REDIS_WAYS", "search")
    assert main(["redis", "postgres", "--quick", "--no-peers"]) == 0
    printed = capsys.readouterr().out
    for text in ("200: search, near hit", "200: search, memory in the server", "200: near hit", "processor time",
                 "the graph", "bare statement", "recall of the nearest"):  # fmt: skip
        assert text in printed
    # Peers apart, everything was measured.
    assert printed.count("not measured") == 1


def test_scale_out_in_a_quick_run(capsys):
    assert main(["scale", "--quick"]) == 0
    printed = capsys.readouterr().out
    for text in ("Redis plain, exact hits, 2 clients", "PostgreSQL, near hits, 1 client", "processor time per lookup",
                 "single_flight='shared', a miss", "near hit on a cluster of 3", "6 shards"):  # fmt: skip
        assert text in printed
    assert "not measured" not in printed


def test_servers_are_measured_only_when_named(monkeypatch, capsys):
    measured = []

    class Subset:
        def __init__(self, name):
            self.name = name

        def run(self, bench):
            measured.append(bench.subset)

    monkeypatch.setattr("benchmarks.__main__.importlib", SimpleNamespace(import_module=Subset))
    assert main(["--quick"]) == 0
    assert measured == [name for name in SUBSETS if name not in ("redis", "postgres", "proxy", "scale")]
    assert main(["scale", "--quick"]) == 0
    assert measured[-1] == "scale"


def test_help_lists_the_subsets():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in SUBSETS)


def test_an_unknown_subset_is_named(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["nearest"])
    assert exit_.value.code == 2
    assert "no subset 'nearest': there are exact, telemetry, near" in capsys.readouterr().err


def test_a_subset_that_breaks_is_a_line_and_a_status(monkeypatch, capsys):
    from benchmarks import imports

    def broken(bench):
        raise RuntimeError("no luck")

    monkeypatch.setattr(imports, "run", broken)
    assert main(["import", "--quick"]) == 1
    assert "not measured: RuntimeError: no luck" in capsys.readouterr().out


# ---------------------------------------------------------------------------------- harness


def test_rounds_are_interleaved_and_the_first_is_dropped(bench):
    bench.quick = False
    order = []

    def contender(name, seconds):
        def batch(calls):
            order.append(name)
            return seconds * calls

        return Contender(name, batch, 4)

    times = bench.interleave([contender("a", 2.0), contender("b", 8.0)], 3)
    assert times == {"a": [2.0] * 3, "b": [8.0] * 3}
    assert sorted(order[:2]) == ["a", "b"]
    assert "".join(order) == "baabbaab"
    figure = bench.ratio("a thing", times, "a", "b", at_most(0.25))
    assert (figure.value, figure.beside_value, figure.ratio, figure.verdict) == (2.0, 8.0, 0.25, "pass")


def test_ratio_is_the_median_of_the_rounds_ratios(bench):
    figure = bench.ratio("x", {"a": [1.0, 9.0, 2.0], "b": [1.0, 1.0, 1.0]}, "a", "b", at_most(1.5))
    assert (figure.ratio, figure.low, figure.high, figure.verdict) == (2.0, 1.0, 9.0, "short")


def test_timing_loops_call_each_item_once_without_the_collector(bench):
    import gc

    seen = []
    contender = bench.calls("a", lambda item: seen.append((item, gc.isenabled())), "xy", 3)
    assert contender.batch(3) > 0
    assert seen == [("x", False), ("y", False), ("x", False)]
    assert gc.isenabled()

    async def note(item):
        await asyncio.sleep(0)
        seen.append(item)

    bench.awaits("b", note, "z", 1).batch(1)
    assert seen[-1] == "z"


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("s", "w", 4.9e-3, target=at_most(0.005, "s")), "pass"),
        (Figure("s", "w", 5.1e-3, target=at_most(0.005, "s")), "short"),
        (Figure("s", "w", 9.0, ratio=1.4, target=at_least(1.4)), "pass"),
        (Figure("s", "w", 9.0, ratio=1.39, target=at_least(1.4)), "short"),
        (Figure("s", "w", None, target=at_most(0.005, "s")), ""),
        (Figure("s", "w", 1.0), ""),
    ],
)
def test_verdicts(figure, verdict):
    assert figure.verdict == verdict


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5e-9, "s", "2.5 ns"), (1.07e-6, "s", "1.07 us"), (0.0123, "s", "12.3 ms"), (2.0, "s", "2 s"),
        (1536, "B", "1536 B"), (147 << 20, "B", "147 MiB"), (20 << 10, "B", "20 KiB"), (None, "s", "-"),
        (1234.5, "/s", "1234 /s"),
    ],
)  # fmt: skip
def test_amounts(value, unit, text):
    assert report.amount(value, unit) == text


def test_plot_has_a_mark_for_each_ratio():
    figures = [
        Figure("s", "a <b>", 1.0, "s", "c", 2.0, 0.5, 0.4, 0.6, at_most(0.15)),
        Figure("s", "no ratio", 1.0),
    ]
    drawing = report.plot(figures, "s")
    assert drawing is not None
    assert len(ElementTree.fromstring(drawing).findall("{http://www.w3.org/2000/svg}circle")) == 1
    assert report.plot(figures[1:], "s") is None


# ------------------------------------------------------------------------------------ peers


def test_worker_answers_reports_errors_and_its_end(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(peers.WORKERS)!r})\n"
        "from protocol import serve\n"
        "def add(a, b):\n    print('not an answer')\n    return a + b\n"
        "serve({'add': add, 'end': lambda: sys.exit('it is over')})\n"
    )
    with peers.Worker(sys.executable, script, tmp_path / "log") as worker:
        assert worker.ask("add", a=1, b=2) == 3
        with pytest.raises(peers.PeerUnavailable, match="TypeError"):
            worker.ask("add", a=1, b="x")
        assert worker.ask("add", a=2, b=2) == 4
        with pytest.raises(peers.PeerUnavailable, match="it is over"):
            worker.ask("end")


def test_a_peer_that_cannot_be_installed_is_a_line_of_the_table(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    with (
        pytest.raises(peers.PeerUnavailable, match="no-such-package"),
        peers.importable("nothing", ["no-such-package==1"]),
    ):
        pass
    assert not list(tmp_path.rglob("ready"))

    def environment(*_: object) -> Path:
        raise peers.PeerUnavailable("installing no-such-package==1 failed")

    monkeypatch.setattr(peers, "environment", environment)
    bench.peers = True
    with peers.peer(bench, "nothing", ["no-such-package==1"], "run_pypi") as worker:
        assert worker is None
    assert bench.figures[-1].note == "not measured: installing no-such-package==1 failed"


# ------------------------------------------------------------------------------------- data


def test_generated_vectors_are_unit_clustered_and_reproducible():
    rows = data.clustered(2000)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.array_equal(rows, data.clustered(2000))
    scores = rows @ rows.T
    np.fill_diagonal(scores, -1)
    # As sentence embeddings: most pairs are far apart, the nearest neighbour is not.
    assert np.median(scores) < 0.15
    assert 0.4 < np.median(scores.max(axis=1)) < 0.7


def test_near_queries_have_one_right_answer():
    filling = data.Filling(500, queries=16)
    scores = filling.queries @ filling.rows.T
    assert ((scores >= data.SIMILARITY).sum(axis=1) == 1).all()
    best = scores.argmax(axis=1)
    assert [data.other_wording(i) for i in best] == filling.wordings
    assert len(set(filling.prompts)) == 500


def test_wordings_are_all_different():
    import itertools

    first = list(itertools.islice(words.wordings(), 19_000))
    assert len(set(first)) == len(first)
    assert not set(first) & set(words.questions())
