"""The inverted lists of large partitions. Sizes are small, the thresholds lowered to match."""

import threading
import time
from array import array

import numpy as np
import pytest
from benchmarks.data import clustered, reworded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from index_helpers import DIM, PRELUDE, ROWS, consistent, filled, listed, only, run, unit_rows

from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index import indexer as indexer_module
from semantic_llm_cache.index import partition as partition_module
from semantic_llm_cache.index.inverted import InvertedLists
from semantic_llm_cache.index.linear import dots, product

# --------------------------------------------------------------------------------- growing and searching


def test_a_partition_gets_lists_when_it_is_large(small_steps):
    index = filled(499)
    assert only(index).lists is None
    index.add(9999, ROWS[3000])
    assert index.indexer.wait(20)
    assert only(index).indexed == index.indexed == 500
    assert index.rows(DIM) > 0
    consistent(index)
    for number in (0, 77, 498):
        assert index.search(ROWS[number], 1, 0.9)[0] == (number + 1, pytest.approx(1.0))
    assert index.search(ROWS[3000], 1, 0.99) == [(9999, pytest.approx(1.0))]
    assert index.search(-ROWS[0], 1, 0.99) == []


def test_recall_of_true_hits_on_clustered_vectors():
    """A question in other words finds the nearest of 4,000 entries, clustered as prompts are, 99 times in 100."""
    rows = clustered(4000)
    index = VectorIndex(list_rows=1000)
    index.add_many(list(range(4000)), rows)
    assert index.indexer.wait(60)
    assert index.indexed >= 4000 - 512
    asked = np.random.default_rng(2).permutation(4000)[:300]
    queries = reworded(rows[asked])
    best = (rows @ queries.T).max(axis=0)
    found = [index.search(query, 1, 0.9) for query in queries]
    for hit, query in zip(found, queries, strict=True):
        if hit:
            assert hit[0][1] == pytest.approx(float(rows[hit[0][0]] @ query), abs=2e-6)
    right = sum(bool(hit) and hit[0][1] >= cosine - 2e-6 for hit, cosine in zip(found, best, strict=True))
    assert right >= 0.99 * len(asked)


def test_a_vector_is_found_at_once_while_the_lists_are_built():
    index = VectorIndex(list_rows=500)
    index.add_many(list(range(1, 3001)), ROWS[:3000])
    seen = set()
    for id in range(3001, len(ROWS)):
        if id > 3100 and len(seen) > 1:
            break
        index.add(id, ROWS[id])
        assert index.search(ROWS[id], 1, 0.999) == [(id, pytest.approx(1.0))]
        assert index.search(ROWS[id - 3000], 1, 0.999) == [(id - 2999, pytest.approx(1.0))]
        seen.add(only(index).indexed)
        time.sleep(0.001)
    assert len(seen) > 1  # it was being built


def test_removed_neighbours_do_not_hide_those_behind_them(small_steps):
    """300 copies of the question are removed: the one that is farther is found, though theirs are in the lists."""
    base = ROWS[0]
    near = base + 0.001 * ROWS[1:301]
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    far = base + 0.2 * ROWS[302]
    index = filled(1000)
    index.add_many(list(range(5000, 5300)), near)
    index.add(7000, far)
    assert index.indexer.wait(20)
    lists = only(index).lists
    for id in [*range(5000, 5300), 1]:
        index.remove(id)
    assert index.search(base, 1, 0.9)[0][0] == 7000
    assert index.search(base, 3, 0.9)[0][0] == 7000
    assert only(index).lists is lists
    assert 5000 in listed(lists)
    consistent(index)


def test_an_entry_stored_again_and_again_does_not_hide_its_neighbours(small_steps):
    """Each time with another vector, all of them near the question: the lists then hold one id many times."""
    base = ROWS[0]
    index = filled(1000)
    index.add(7000, base + 0.2 * ROWS[302])
    for number in range(200):
        index.add(5000, base + 0.001 * ROWS[number + 1])
        assert index.indexer.wait(20)
        index.add_many(list(range(8000, 8010)), ROWS[3000:3010])
        index.add(9000 + number, ROWS[2000 + number])
    assert index.indexer.wait(20)
    assert {id for id, _ in index.search(base, 3, 0.9)} == {1, 5000, 7000}
    consistent(index)


def test_a_replaced_vector_counts_as_it_is_now(small_steps):
    index = filled(1000)
    index.add(10, -ROWS[9])
    assert index.search(ROWS[9], 1, 0.99) == []
    assert index.search(-ROWS[9], 1, 0.99) == [(10, pytest.approx(1.0))]
    for id in range(100, 140):
        index.add(id, ROWS[id + 2000])
    assert index.indexer.wait(20)
    consistent(index)
    for id in range(100, 140):
        assert index.search(ROWS[id + 2000], 1, 0.99)[0] == (id, pytest.approx(1.0))
        assert all(found != id for found, _ in index.search(ROWS[id - 1], 1, 0.99))


def test_an_id_that_moves_to_another_scope_is_not_found_in_its_old_one(small_steps):
    index = filled(1000, scope="a")
    index.add(10, ROWS[9], scope="b")
    assert index.search(ROWS[9], 1, 0.99, scope="a") == []
    assert index.search(ROWS[9], 1, 0.99, scope="b") == [(10, pytest.approx(1.0))]
    index.add(10, ROWS[9], scope="a")
    assert index.search(ROWS[9], 1, 0.99, scope="a") == [(10, pytest.approx(1.0))]


def test_lists_are_dropped_when_little_is_left_and_made_anew_when_much_has_gone(small_steps, monkeypatch):
    monkeypatch.setattr(indexer_module, "_GHOSTS", 100)
    index = filled(2000)
    first = only(index).lists
    for id in range(1, 1301):
        index.remove(id)
    assert index.indexer.wait(20)
    assert only(index).lists is not None
    assert only(index).lists is not first
    assert only(index).lists.count < 1000
    assert index.search(ROWS[1999], 1, 0.99) == [(2000, pytest.approx(1.0))]
    for id in range(1301, 1900):
        index.remove(id)
    assert index.indexer.wait(20)
    assert only(index).lists is None
    assert index.search(ROWS[1999], 1, 0.99) == [(2000, pytest.approx(1.0))]
    consistent(index)


def test_lists_are_made_anew_when_a_partition_has_doubled(small_steps):
    index = filled(600)
    before = only(index).lists
    index.add_many(list(range(1001, 1401)), ROWS[1000:1400])
    assert index.indexer.wait(20)
    assert only(index).lists is before
    index.add_many(list(range(2001, 2401)), ROWS[2000:2400])
    assert index.indexer.wait(20)
    after = only(index).lists
    assert after is not before
    assert len(after._lists) > len(before._lists)
    assert after.count == index.indexed == 1400


def builds(monkeypatch, during=lambda build: None):
    """Record how lists are built, and call `during` with the number of the build at each of its pauses."""
    real, seen = indexer_module.InvertedLists.build.__func__, []

    def build(cls, ids, blocks, count, pause, *, coarse=False):
        def paused():
            during(len(seen))
            pause()

        seen.append((count, coarse))
        return real(cls, ids, blocks, count, paused, coarse=coarse)

    monkeypatch.setattr(indexer_module.InvertedLists, "build", classmethod(build))
    return seen


def test_many_vectors_at_once_get_coarse_lists_first(monkeypatch):
    made = builds(monkeypatch)
    index = filled(4000, list_rows=500)
    assert made == [(4000, True), (4000, False)]
    assert only(index).lists.trained == 4000
    consistent(index)


def test_a_build_that_most_vectors_have_outgrown_starts_over(monkeypatch):
    index = VectorIndex(list_rows=500)

    def more(build):
        if build == 1 and len(index) == 600:
            index.add_many(list(range(601, 4001)), ROWS[600:4000])

    made = builds(monkeypatch, more)
    index.add_many(list(range(1, 601)), ROWS[:600])
    assert index.indexer.wait(20)
    assert made == [(600, False), (4000, True), (4000, False)]
    consistent(index)


def test_vectors_that_come_during_a_build_are_in_the_lists_at_its_end(monkeypatch):
    index, left = VectorIndex(list_rows=500), []

    def more(build):
        if build == 1 and len(index) < 1900:
            first = len(index)
            index.add_many(list(range(first + 1, first + 101)), ROWS[first : first + 100])
            index.remove(first - 50)
            index.add(7, ROWS[3000 + first % 900])

    monkeypatch.setattr(indexer_module.InvertedLists, "add", _noting(index, left))
    builds(monkeypatch, more)
    index.add_many(list(range(1, 1001)), ROWS[:1000])
    assert index.indexer.wait(20)
    assert only(index).count - only(index).indexed < indexer_module._TAIL
    assert len(left) > 0, "none was added before the lists came into use"
    consistent(index)


def _noting(index, left):
    real = indexer_module.InvertedLists.add

    def add(self, ids, rows):
        if only(index).lists is not self:
            left.extend(ids)
        real(self, ids, rows)

    return add


def test_ids_of_any_sign(small_steps):
    index = VectorIndex(list_rows=100)
    ids = [*range(-150, 0), *range(2**62, 2**62 + 50)]
    index.add_many(ids, ROWS[:200])
    assert index.indexer.wait(20)
    for number, id in enumerate(ids):
        assert index.search(ROWS[number], 1, 0.99)[0] == (id, pytest.approx(1.0))
    for id in ids[::2]:
        assert index.remove(id)
    assert index.indexer.wait(20)
    assert index.search(ROWS[0], 1, 0.99) == []


def test_lists_that_cannot_be_built_are_replaced_by_the_scan(small_steps, caplog, monkeypatch):
    monkeypatch.setattr(indexer_module.InvertedLists, "build", lambda *_: 1 / 0)
    index = filled(1000)
    assert index.search(ROWS[5], 1, 0.99)[0][0] == 6
    assert "scanned instead" in caplog.text
    index.add_many(list(range(2000, 2600)), ROWS[2000:2600])
    assert index.indexer.wait(5)
    assert only(index).lists is None


def test_a_few_early_vectors_far_from_all_others_are_found():
    """An island: 100 vectors stored first, 8,000 others of another kind after them (a graph loses such)."""
    others, island = clustered(8000), clustered(100, seed=99) * np.float32(-1.0)
    index = VectorIndex(list_rows=1000)
    index.add_many(list(range(100)), island)
    index.add_many(list(range(100, 8100)), others)
    assert index.indexer.wait(60)
    assert index.indexed > 7000
    queries = reworded(island)
    assert sum(index.search(query, 1, 0.9)[0][0] == id for id, query in enumerate(queries)) >= 99


@pytest.mark.parametrize("dimension", [1, 2, 16, 96, 97, 100, 384, 1536])
def test_any_dimension(dimension, small_steps):
    rows = unit_rows(5, 600, dimension)
    index = VectorIndex(list_rows=500)
    index.add_many(list(range(600)), rows)
    assert index.indexer.wait(60)
    assert index.indexed == 600
    for number in range(0, 600, 40):
        (hit,) = index.search(rows[number], 1, 0.99)
        assert hit[1] == pytest.approx(1.0, abs=1e-5)
        assert dimension <= 2 or hit[0] == number


def test_vectors_that_are_all_the_same(small_steps):
    index = VectorIndex(list_rows=500)
    index.add_many(list(range(700)), np.repeat(ROWS[:1], 700, axis=0))
    assert index.indexer.wait(20)
    assert index.search(ROWS[0], 3, 0.99) == [(id, pytest.approx(1.0)) for id in (699, 698, 697)]
    assert index.search(-ROWS[0], 3, 0.99) == []


@given(count=st.integers(0, 60), dimension=st.sampled_from([1, 3, 96, 384, 10_000]), width=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_products_cut_into_groups_are_the_same_products(count, dimension, width):
    random = np.random.default_rng(count)
    rows = random.standard_normal((count, dimension), dtype=np.float32)
    columns = random.standard_normal((dimension, width), dtype=np.float32)
    np.testing.assert_allclose(product(rows, columns), rows @ columns, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(dots(rows, columns[:, 0].copy()), rows @ columns[:, 0], rtol=1e-3, atol=1e-2)


class ListsAgainstADict(RuleBasedStateMachine):
    """Whatever is added, replaced, removed and searched while lists are built: no wrong pair, no lost vector."""

    compact_rows = 2_000_000

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(indexer_module, "_TAIL", 4)
        self.patch.setattr(indexer_module, "_GHOSTS", 30)
        self.patch.setattr(partition_module, "_BLOCK_BYTES", 4 * DIM * 20)
        self.index = VectorIndex(list_rows=40, compact_rows=self.compact_rows)
        self.model = {}

    def teardown(self):
        self.index.indexer.stop(10)
        self.patch.undo()

    @rule(first=st.integers(1, 150), count=st.integers(1, 60), shift=st.integers(0, 500))
    def add_many(self, first, count, shift):
        self.index.add_many(list(range(first, first + count)), ROWS[first + shift : first + shift + count])
        self.model.update((id, id + shift) for id in range(first, first + count))

    @rule(id=st.integers(1, 210), number=st.integers(0, 800))
    def add(self, id, number):
        self.index.add(id, ROWS[number])
        self.model[id] = number

    @rule(first=st.integers(1, 210), count=st.integers(1, 80))
    def remove(self, first, count):
        for id in range(first, first + count):
            assert self.index.remove(id) == (self.model.pop(id, None) is not None)

    @rule()
    def wait(self):
        assert self.index.indexer.wait(10)
        consistent(self.index)

    @rule(number=st.integers(0, 800), k=st.integers(1, 20))
    def search(self, number, k):
        found = self.index.search(ROWS[number], k, 0.3)
        assert len({id for id, _ in found}) == len(found) <= k
        for id, cosine in found:
            assert abs(float(ROWS[self.model[id]] @ ROWS[number]) - cosine) < 1e-5
        same = {id for id, there in self.model.items() if there == number}
        assert same == set() or found[0][0] in same

    @invariant()
    def agrees(self):
        assert sorted(self.index.ids()) == sorted(self.model)


ListsAgainstADict.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestListsAgainstADict = ListsAgainstADict.TestCase


class CompactListsAgainstADict(ListsAgainstADict):
    """The same of compact lists, from 60 vectors on: full lists become compact ones meanwhile."""

    compact_rows = 60


CompactListsAgainstADict.TestCase.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
TestCompactListsAgainstADict = CompactListsAgainstADict.TestCase


def test_threads_that_search_while_others_add_and_remove(small_steps):
    """Residents are found by nearly every search, and no pair is ever wrong, while all around them changes."""
    rows = ROWS[:2000]
    index = VectorIndex(list_rows=300)
    index.add_many(list(range(2000)), rows)
    residents = list(range(0, 2000, 100))
    stop = threading.Event()
    problems, missed, looks = [], [], []

    def churn(seed):
        random = np.random.default_rng(seed)
        while not stop.is_set():
            id = int(random.integers(seed, 1000)) * 2 + seed
            if id % 100 and id < 2000:
                index.remove(id)
                index.add(id, rows[id])
            time.sleep(0.0002)

    def look(seed):
        random = np.random.default_rng(seed)
        for _ in range(250):
            target = residents[int(random.integers(len(residents)))]
            found = index.search(rows[target], 4, 0.2)
            looks.append(1)
            if not found or found[0] != (target, pytest.approx(1.0)):
                missed.append(target)
            problems.extend((id, cosine) for id, cosine in found if abs(float(rows[id] @ rows[target]) - cosine) > 1e-5)

    churners = [threading.Thread(target=churn, args=(n,)) for n in (0, 1)]
    lookers = [threading.Thread(target=look, args=(n,)) for n in (7, 8)]
    for thread in churners + lookers:
        thread.start()
    for thread in lookers:
        thread.join()
    stop.set()
    for thread in churners:
        thread.join()
    assert problems == []
    assert len(missed) <= 0.01 * len(looks)
    assert index.indexer.wait(20)
    consistent(index)


# ------------------------------------------------------------------------------------ forks, exits


def test_a_process_ends_while_lists_are_built():
    done = run(PRELUDE + "index.add_many(list(range(3000)), rows)\ntime.sleep(0.05)\nsys.exit(7)")
    assert (done.returncode, done.stderr) == (7, "")


def test_a_forked_child_goes_on_with_the_lists():
    done = run(
        PRELUDE
        + """
index.add_many(list(range(1500)), rows[:1500])
time.sleep(0.05)
children = []
for _ in range(2):
    time.sleep(0.02)
    if not (child := os.fork()):
        assert index.search(rows[5], 1, 0.9)[0][0] == 5
        index.add(9000, -rows[5])
        assert index.search(-rows[5], 1, 0.9)[0][0] == 9000
        assert index.indexer.wait(20)
        assert index.indexed >= 900
        assert index.search(rows[1490], 1, 0.9)[0][0] == 1490
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
assert index.indexer.wait(20)
assert index.search(rows[1490], 1, 0.9)[0][0] == 1490
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_near_duplicate_is_found_among_vectors_that_are_all_similar():
    # Some models give any two texts a cosine of .8. A vector that far away must not end the search after a few lists.
    random, count = np.random.default_rng(3), 10_000
    middle = unit_rows_around(np.zeros((1, 384), dtype=np.float32), 1.0, random)
    vectors = unit_rows_around(np.repeat(middle, count, axis=0), 0.5, random)
    lists = InvertedLists.build(array("q", range(count)), [vectors], count, lambda: None)
    queries = unit_rows_around(vectors[:400], 0.05, random)
    missed = [id for id, query in enumerate(queries) if id not in lists.search(query, 1, 16, -2.0).ids]
    assert len(missed) <= 1


def unit_rows_around(rows, length, random):
    """Return the rows, each plus a random vector of about this length, as unit vectors."""
    found = rows + random.standard_normal(rows.shape, dtype=np.float32) * np.float32(length / rows.shape[1] ** 0.5)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
