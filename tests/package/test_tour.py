"""The notebook runs in a kernel of its own, and prints what it shows."""

import sys
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.write_tour import TOUR, tour  # noqa: E402


def outputs(notebook):
    return [cell.get("outputs") for cell in notebook.cells]


def test_the_tour_prints_what_it_shows(monkeypatch):
    # A kernel is a process that the repository's own source must be found in.
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    kept = nbformat.read(TOUR, as_version=4)
    run = tour()
    assert [cell.source for cell in kept.cells] == [cell.source for cell in run.cells], "run scripts/write_tour.py"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client and its sockets
        NotebookClient(run, timeout=60, record_timing=False).execute()
    assert outputs(run) == outputs(kept)
