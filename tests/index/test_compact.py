"""Compact lists, those of millions of vectors. The sizes at which they begin are lowered."""

import numpy as np
import pytest
from benchmarks.data import clustered, reworded, spread
from index_helpers import consistent, only, saved

from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index import compact as compact_module
from semantic_llm_cache.index import sketches as sketches_module
from semantic_llm_cache.index import vectors as vectors_module
from semantic_llm_cache.index.compact import CompactLists
from semantic_llm_cache.index.groups import Groups
from semantic_llm_cache.index.inverted import InvertedLists
from semantic_llm_cache.index.kmeans import assign, kmeans
from semantic_llm_cache.index.snapshot import Snapshot

ROWS_384 = clustered(6000)


def built(count=6000, **options):
    index = VectorIndex(list_rows=1000, compact_rows=2000, **options)
    index.add_many(list(range(count)), ROWS_384[:count])
    assert index.indexer.wait(60)
    return index


@pytest.fixture(scope="module")
def large():
    return built()


def test_a_partition_gets_compact_lists_when_it_is_very_large(large):
    small = built(1500)
    assert type(only(small).lists) is InvertedLists
    assert type(only(large).lists) is CompactLists
    small.add_many(list(range(1500, 6000)), ROWS_384[1500:])
    assert small.indexer.wait(60)
    assert type(only(small).lists) is CompactLists
    assert small.search(ROWS_384[5000], 1, 0.99)[0] == (5000, pytest.approx(1.0))


def test_compact_lists_take_a_quarter_of_the_memory(large):
    one = only(large)
    full = InvertedLists.build(one.ids, one.blocks, one.count, lambda: None)
    shares = [sum(rows.nbytes for rows, _, _ in lists._lists) for lists in (one.lists, full)]
    assert shares[0] <= 0.4 * shares[1]  # 0.25 and the empty rows of twice as many lists


@pytest.mark.parametrize("cosine", [0.7, 0.9])
def test_recall_beside_a_scan(large, cosine):
    asked = np.random.default_rng(2).permutation(6000)[:200]
    queries = reworded(ROWS_384[asked], low=cosine, high=cosine + 0.08)
    scores = queries @ ROWS_384.T
    right = 0
    for query, own in zip(queries, scores, strict=True):
        found = large.search(query, 1, cosine - 0.001)
        right += bool(found) and found[0][1] >= own.max() - 2e-6
        assert all(score == pytest.approx(float(own[id]), abs=2e-6) for id, score in found)
    assert right >= 198


def test_estimates_differ_little_from_those_of_full_lists(large):
    one = only(large)
    full = InvertedLists.build(one.ids, one.blocks, one.count, lambda: None)
    query = reworded(ROWS_384[:1])[0]
    exact = dict(zip(*full.search(query, 1, 6000, -2.0)[:2], strict=True))
    rough = dict(zip(*one.lists.search(query, 1, 6000, -2.0)[:2], strict=True))
    both = exact.keys() & rough.keys()
    assert len(both) > 200
    assert max(abs(exact[id] - rough[id]) for id in both) < CompactLists.rounding


def test_groups_find_the_nearest_centroid_of_nearly_all():
    random = np.random.default_rng(1)
    rows = np.ascontiguousarray(ROWS_384[:, :96])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centroids = kmeans(rows, 900, random, lambda: None)
    found = Groups(centroids, lambda: None).assign(rows)
    nearest = assign(rows, centroids, lambda: None)
    assert (found == nearest).mean() > 0.8  # of centroids that lie as near together as here
    lost = np.einsum("ij,ij->i", rows, centroids[nearest] - centroids[found])
    assert lost.mean() < 0.03
    assert len(Groups(centroids[:1], lambda: None).assign(rows[:3])) == 3


def test_a_build_can_be_stopped_and_calls_its_pause_often():
    one = only(built(3000))
    calls = []
    CompactLists.build(one.ids, one.blocks, one.count, lambda: calls.append(1))
    assert len(calls) > 50

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CompactLists.build(one.ids, one.blocks, one.count, stop)


def test_sketches_find_what_lies_outside_the_lists_searched(large, monkeypatch):
    """With one list searched instead of 32 to 160, sketches alone must find nearly all."""
    monkeypatch.setattr(compact_module, "_PROBES", ((-2.0, 1),))
    monkeypatch.setattr(compact_module, "_MARGIN", 2.0)
    asked = np.random.default_rng(2).permutation(6000)[:200]
    queries = spread(ROWS_384[asked], low=0.7, high=0.75)
    best = (queries @ ROWS_384.T).max(axis=1)
    found = [large.search(query, 1, 0.69) for query in queries]
    right = sum(bool(own) and own[0][1] >= most - 2e-6 for own, most in zip(found, best, strict=True))
    assert right >= 192


@pytest.mark.parametrize("ones", [sketches_module._ones, sketches_module._ones_by_table])
def test_bits_are_counted_with_any_numpy(ones):
    words = np.random.default_rng(3).integers(0, 1 << 63, 50, dtype=np.uint64) * np.uint64(2)
    assert ones(words).tolist() == [bin(word).count("1") for word in words.tolist()]
    assert ones(words).dtype == np.uint8


def test_what_is_added_replaced_and_removed_beside_compact_lists():
    index = built(3000)
    lists = only(index).lists
    for id in range(3000, 4000):
        index.add(id, ROWS_384[id])
    for id in range(0, 600, 3):
        index.remove(id)
    for id in range(1, 600, 3):
        index.add(id, ROWS_384[id + 4000])
    assert index.indexer.wait(60)
    one = only(index)
    assert one.lists is lists
    assert one.indexed > 3000
    consistent(index)
    for id in range(3000, 4000, 50):
        assert index.search(ROWS_384[id], 1, 0.999)[0] == (id, pytest.approx(1.0))
    for id in range(1, 600, 3):
        assert index.search(ROWS_384[id + 4000], 1, 0.999)[0] == (id, pytest.approx(1.0))
        assert all(found != id for found, _ in index.search(ROWS_384[id], 3, 0.999))
        assert all(found != id - 1 for found, _ in index.search(ROWS_384[id - 1], 3, 0.999))


def test_a_file_gives_back_compact_lists_and_their_sketches(tmp_path, large):
    saved(large, tmp_path / "index")
    snapshot = Snapshot(str(tmp_path / "index"))
    again = VectorIndex(list_rows=1000, compact_rows=2000)
    snapshot.fill(again)
    mine, there = only(large).lists, only(again).lists
    assert type(there) is CompactLists
    assert (there.count, there.trained) == (mine.count, mine.trained)
    found = [np.sort(lists._sketches.search(mine._short(ROWS_384[9]), 0.7), axis=1) for lists in (mine, there)]
    assert len(set(found[0][1].tolist()) ^ set(found[1][1].tolist())) < 0.1 * len(found[0][1])
    query = spread(ROWS_384[7:8], low=0.75, high=0.8)[0]
    assert again.search(query, 3, 0.6) == large.search(query, 3, 0.6)
    again.add(7000, -ROWS_384[5])
    assert again.search(-ROWS_384[5], 1, 0.9)[0][0] == 7000
    assert snapshot.verify(lambda: None) is None


def test_a_file_says_that_its_lists_are_compact(tmp_path, large):
    """An earlier version of this package must not take them for full ones; full lists stay readable for it."""
    saved(large, tmp_path / "compact")
    saved(built(1500), tmp_path / "full")
    assert (tmp_path / "compact").read_bytes()[:14] == b"SLLC vectors 3"
    assert (tmp_path / "full").read_bytes()[:14] == b"SLLC vectors 2"


def test_a_search_says_how_much_it_may_have_to_compare(large):
    """Backends move long searches off the event loop by this: one of compact lists may go through all sketches."""
    lists = only(large).lists
    assert lists.visits >= InvertedLists.visits.fget(lists) + 6000 // 12
    assert large.rows(384) >= lists.visits


@pytest.mark.parametrize(("text", "rows"), [("", 7), ("5000", 5000), ("0", None), ("many", 7)])
def test_sizes_from_the_environment(monkeypatch, text, rows):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_COMPACT_ROWS", text)
    assert vectors_module._rows_from("SEMANTIC_LLM_CACHE_COMPACT_ROWS", 7) == rows


def test_lists_stay_full_where_compact_ones_are_turned_off():
    index = VectorIndex(list_rows=1000, compact_rows=None)
    index.add_many(list(range(2500)), ROWS_384[:2500])
    assert index.indexer.wait(60)
    assert type(only(index).lists) is InvertedLists
