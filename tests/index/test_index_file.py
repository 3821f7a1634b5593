"""Indexes in files: written while they change, opened, verified, damaged. Sizes are small."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_helpers import DIM, PRELUDE, ROWS, consistent, filled, only, saved

from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index import indexer as indexer_module
from semantic_llm_cache.index import partition as partition_module
from semantic_llm_cache.index.snapshot import Snapshot


def opened(path, list_rows=500):
    snapshot = Snapshot(str(path))
    index = VectorIndex(list_rows=list_rows)
    snapshot.fill(index)
    return index, snapshot


def verified(index, snapshot):
    problems = []

    def job():
        try:
            snapshot.verify(lambda: None)
        except ValueError as error:
            problems.append(error)

    index.indexer.run(job)
    assert index.indexer.wait(20)
    if problems:
        raise problems[0]


def test_a_file_gives_back_what_was_written(tmp_path, small_steps):
    index = filled(1000, scope="s", embedder="e", namespace="n")
    index.add_many(list(range(2000, 2300)), ROWS[2000:2300], scope="t")
    index.add(5000, [1.0, 0.0, 0.0], scope="t")
    assert saved(index, tmp_path / "index", note="of mine") == 1000
    again, snapshot = opened(tmp_path / "index")
    assert snapshot.info == {"note": "of mine"}
    assert sorted(again.ids()) == sorted(index.ids())
    limits = {"scope": "s", "embedder": "e", "namespace": "n"}
    assert again.search(ROWS[7], 1, 0.99, **limits) == [(8, pytest.approx(1.0))]
    assert [partition.indexed for partition in again.partitions()] == [1000, 0, 0]
    verified(again, snapshot)
    consistent(again)
    for index_now in (again, index):
        index_now.remove(8)
        index_now.add(9, -ROWS[8], **limits)
        index_now.add(6000, ROWS[7], **limits)
        assert index_now.search(ROWS[7], 1, 0.99, **limits) == [(6000, pytest.approx(1.0))]
        assert index_now.search(ROWS[2000], 1, 0.99, scope="t") == [(2000, pytest.approx(1.0))]
        assert index_now.search([1.0, 0.0, 0.0], 1, 0.99) == [(5000, pytest.approx(1.0))]
    assert (tmp_path / "index").exists()
    untouched, _ = opened(tmp_path / "index")  # what is changed stays in the process
    assert untouched.search(ROWS[8], 1, 0.99, **limits) == [(9, pytest.approx(1.0))]


def test_rows_removed_between_reading_a_file_and_verifying_it(tmp_path, small_steps):
    index = filled(1000)
    saved(index, tmp_path / "index")
    again, snapshot = opened(tmp_path / "index")
    for id in range(1, 400, 2):
        again.remove(id)
    again.add_many(list(range(2000, 2050)), ROWS[2000:2050])
    verified(again, snapshot)
    assert again.indexer.wait(20)
    consistent(again)
    for id in range(1, 400):
        assert [found for found, _ in again.search(ROWS[id - 1], 1, 0.99)] == ([] if id % 2 else [id])


@given(
    changes=st.lists(
        st.tuples(st.sampled_from("radm"), st.integers(1, 400), st.integers(0, 600)), min_size=1, max_size=60
    ),
    list_rows=st.sampled_from([100, 100_000]),
)
@settings(max_examples=12, deadline=None)
def test_what_changes_while_a_file_is_written(tmp_path_factory, changes, list_rows):
    """Vectors that stay are in the file; of those that change, it has what was there before or after."""
    patch = pytest.MonkeyPatch()
    patch.setattr(indexer_module, "_TAIL", 4)
    patch.setattr(partition_module, "_BLOCK_BYTES", 4 * DIM * 50)
    try:
        index = VectorIndex(list_rows=list_rows)
        index.add_many(list(range(1, 301)), ROWS[:300])
        assert index.indexer.wait(20)
        before = {id: id - 1 for id in range(1, 301)}
        after = dict(before)
        left = list(changes)

        def change_something():
            for _ in range(min(8, len(left))):
                what, id, number = left.pop()
                if what in "rm":
                    index.remove(id)
                    after.pop(id, None)
                if what in "adm":
                    index.add(id, ROWS[number])
                    after[id] = number

        path = tmp_path_factory.mktemp("file") / "index"
        saved(index, path, change_something)
        again, snapshot = opened(path, list_rows)
        verified(again, snapshot)
        assert again.indexer.wait(20)
        consistent(again)
        touched = {id for _, id, _ in changes}
        for id in set(before) | set(again.ids()):
            if id not in touched:
                np.testing.assert_array_equal(again.vector(id), index.vector(id))
                assert again.search(ROWS[before[id]], 400, 0.999)
                assert id in [found for found, _ in again.search(ROWS[before[id]], 400, 0.999)]
            elif again.vector(id) is not None:
                possible = [number for _, other, number in changes if other == id]
                possible += [before[id]] if id in before else []
                assert any(np.allclose(again.vector(id), ROWS[number], atol=1e-6) for number in possible)
    finally:
        patch.undo()


def test_damage_anywhere_in_a_file_is_seen(tmp_path, small_steps):
    """One byte is changed, here and there: refused, or it was in the filling between the sections."""
    path = tmp_path / "index"
    saved(filled(600, 300), path)
    good = path.read_bytes()
    random = np.random.default_rng(4)
    seen = 0
    places = [0, 17, 30, len(good) - 1, *random.integers(0, len(good), 60).tolist()]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bad)
        try:
            again, snapshot = opened(path, 300)
            verified(again, snapshot)
        except ValueError:
            seen += 1
        else:
            for id in range(1, 601):
                np.testing.assert_array_equal(again.vector(id), ROWS[id - 1])
    assert seen >= len(places) - 3
    for length in (0, 10, 64, 1000, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError):
            opened(path)
    path.write_bytes(os.urandom(5000))
    with pytest.raises(ValueError, match="kind"):
        opened(path)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none")


def test_writing_ends_when_told(tmp_path):
    index = filled(1000)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        saved(index, tmp_path / "index", stop)
    assert only(index).watchers is None
    assert sorted(os.listdir(tmp_path)) == ["index"]


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_taken_for_an_index(tmp_path):
    path = tmp_path / "index"
    code = (
        PRELUDE
        + f"""
from semantic_llm_cache.index.snapshot import write
index.add_many(list(range(3000)), rows)
index.indexer.wait(20)
def forever():
    for _ in range(10_000):
        with open({str(path)!r}, "w+b") as file:
            write(index, file, {{}}, lambda: None)
print("writing", flush=True)
index.indexer.run(forever)
index.indexer.wait(60)
"""
    )
    for delay in (0.01, 0.04):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "writing\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        try:
            again, snapshot = opened(path)
            verified(again, snapshot)
        except (ValueError, FileNotFoundError):
            continue
        assert len(again) == 3000
