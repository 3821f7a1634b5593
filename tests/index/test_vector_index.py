import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index import partition as partition_module
from semantic_llm_cache.index.partition import Partition, top
from semantic_llm_cache.index.places import Places

DIM = 6


def unit_rows(seed, count, dimension=DIM):
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(partition_module, "_BLOCK_BYTES", 4 * DIM * 7)  # seven rows


VECTORS = unit_rows(1, 40)


class IndexAgainstADict(RuleBasedStateMachine):
    """Whatever is added, replaced and removed: a search finds what a loop over a dict finds."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(partition_module, "_BLOCK_BYTES", 4 * DIM * 7)
        self.index = VectorIndex()
        self.model = {}
        self.next_many = 1000

    def teardown(self):
        self.patch.undo()

    places = st.fixed_dictionaries(
        {
            "namespace": st.sampled_from("nm"),
            "scope": st.sampled_from(["", "s", "t"]),
            "embedder": st.sampled_from("ef"),
        }
    )

    @rule(id=st.integers(1, 30), number=st.integers(0, 39), short=st.booleans(), place=places)
    def add(self, id, number, short, place):
        vector = VECTORS[number][:4] * 3 if short else VECTORS[number]
        self.index.add(id, vector, **place)
        self.model[id] = (vector, place)

    @rule(count=st.integers(1, 25), place=places)
    def add_many(self, count, place):
        ids = list(range(self.next_many, self.next_many + count))
        self.next_many += count
        rows = unit_rows(self.next_many, count)
        rows[count // 2] *= 2.0
        assert self.index.add_many(ids, rows, **place) == [ids[count // 2]]
        for id, row in zip(ids, rows, strict=True):
            if id != ids[count // 2]:
                self.model[id] = (row, place)

    @rule(id=st.integers(1, 1100))
    def remove(self, id):
        assert self.index.remove(id) is (self.model.pop(id, None) is not None)

    @rule()
    def remove_most(self):
        for id in list(self.model)[2:]:
            assert self.index.remove(id)
            del self.model[id]

    @rule()
    def clear(self):
        self.index.clear()
        self.model.clear()

    @rule(
        number=st.integers(0, 39),
        short=st.booleans(),
        k=st.integers(1, 6),
        threshold=st.sampled_from([-1.0, 0.0, 0.3, 0.8, 1.0]),
        limits=st.fixed_dictionaries(
            {
                "namespace": st.sampled_from([None, "n", "m"]),
                "scope": st.sampled_from([None, "", "s"]),
                "embedder": st.sampled_from([None, "e"]),
            }
        ),
    )
    def search(self, number, short, k, threshold, limits):
        query = VECTORS[number][:4] if short else VECTORS[number]
        expected = []
        for id, (vector, place) in self.model.items():
            if len(vector) != len(query) or any(limits[n] not in (None, place[n]) for n in limits):
                continue
            a, b = np.float64(vector), np.float64(query)
            cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
            if cosine >= threshold - 1e-6 or threshold <= 0:
                expected.append((cosine, id))
        expected.sort(reverse=True)
        found = self.index.search(query, k, threshold, **limits)
        np.testing.assert_allclose([c for _, c in found], [c for c, _ in expected[:k]], atol=2e-6)
        true = {id: cosine for cosine, id in expected}
        for id, cosine in found:
            assert abs(true[id] - cosine) < 2e-6
        assert len({id for id, _ in found}) == len(found)
        assert self.index.rows(len(query), **limits) >= len(expected)

    @invariant()
    def agrees(self):
        assert len(self.index) == len(self.model)
        for id, (vector, _) in self.model.items():
            assert id in self.index
            row = self.index.vector(id)
            np.testing.assert_allclose(row, vector / np.linalg.norm(vector), atol=1e-6)
        assert self.index.nbytes >= sum(4 * len(vector) for vector, _ in self.model.values())
        if not self.model:
            assert self.index.nbytes == 0


IndexAgainstADict.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestIndexAgainstADict = IndexAgainstADict.TestCase


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50), st.integers(1, 9), st.floats(-1, 1))
@settings(max_examples=150, deadline=None)
def test_top_gives_the_highest(values, k, floor):
    scores = np.array(values, dtype=np.float32)
    floor = float(np.float32(floor))
    chosen = sorted(scores[top(scores, k, floor)].tolist(), reverse=True)
    assert chosen == sorted((s for s in scores.tolist() if s >= floor), reverse=True)[:k]


def test_equal_vectors_give_the_newest_id_first():
    index = VectorIndex()
    for id in (3, 9, 5):
        index.add(id, [1.0, 1.0])
    assert [id for id, _ in index.search([1.0, 1.0], 2, 0.9)] == [9, 5]


def test_vector_is_a_copy():
    index = VectorIndex()
    given_vector = np.array([3.0, 4.0], dtype=np.float32)
    index.add(1, given_vector)
    given_vector[:] = 9
    index.vector(1)[:] = 7
    assert index.vector(1).tolist() == pytest.approx([0.6, 0.8])
    assert index.vector(2) is None


def test_a_vector_without_direction_is_refused():
    index = VectorIndex()
    for bad in ([0.0, 0.0], [float("nan"), 1.0], [], [[1.0]]):
        with pytest.raises(ValueError, match="embedding"):
            index.add(1, bad)
        with pytest.raises(ValueError, match="embedding"):
            index.search(bad, 1, 0.5)
    assert len(index) == 0


def test_many_tiny_scopes_cost_little():
    """10,000 scopes of 10 entries hold at most 1.5 times the bytes of one scope of 100,000 (here a tenth)."""
    rows = unit_rows(2, 1000, 384)
    tiny, one = VectorIndex(), VectorIndex()
    for number in range(10_000):
        tiny.add(number, rows[number % 1000], scope=str(number // 10))
        one.add(number, rows[number % 1000])
    payload = 10_000 * 384 * 4
    assert tiny.nbytes <= 1.3 * payload
    assert one.nbytes <= 1.3 * payload
    assert tiny.nbytes <= 1.5 * one.nbytes
    for number in range(10_000):
        if number % 10:
            tiny.remove(number)
    assert tiny.nbytes <= 0.5 * payload  # a scope that shrank holds on to little
    for number in range(0, 10_000, 10):
        tiny.remove(number)
    assert tiny.nbytes == 0
    assert tiny._partitions == tiny._by_scope == tiny._by_number == {}


def test_a_block_is_given_back_when_empty(small_blocks):
    index = VectorIndex()
    for id, row in enumerate(unit_rows(3, 50)):
        index.add(id, row)
    assert len(next(iter(index._partitions.values())).blocks) == 8
    for id in range(45):
        index.remove(id)
    assert len(next(iter(index._partitions.values())).blocks) == 1
    for id in range(45, 50):
        assert index.search(unit_rows(3, 50)[id], 1, 0.99) == [(id, pytest.approx(1.0))]


def test_what_changes_during_a_scan_is_looked_at_again(small_blocks, monkeypatch):
    """A search that is under way while rows move, go and come reports the state at its end."""
    rows = unit_rows(4, 40)
    index = VectorIndex()
    for id in range(30):
        index.add(id, rows[id])
    plain_scan = Partition.scan

    def scan_then_change(*args):
        scores = plain_scan(*args)
        index.remove(5)  # what is asked for
        index.remove(0)
        index.add(100, rows[5])  # and here it is again under another id
        index.add(101, rows[35])
        for id in range(10, 29):
            index.remove(id)
        return scores

    monkeypatch.setattr(Partition, "scan", staticmethod(scan_then_change))
    found = index.search(rows[5], 3, -1.0)
    assert found[0] == (100, pytest.approx(1.0))
    left = {id: float(rows[id] @ rows[5]) for id in [1, 2, 3, 4, 6, 7, 8, 9, 29]}
    left |= {100: 1.0, 101: float(rows[35] @ rows[5])}
    best = sorted(left, key=left.get, reverse=True)[:3]
    assert [id for id, _ in found] == best
    assert next(iter(index._partitions.values())).watchers is None


def test_clear_during_a_scan(monkeypatch):
    index = VectorIndex()
    index.add(1, [1.0, 0.0])
    plain_scan = Partition.scan

    def scan_then_clear(*args):
        scores = plain_scan(*args)
        index.clear()
        return scores

    monkeypatch.setattr(Partition, "scan", staticmethod(scan_then_clear))
    assert index.search([1.0, 0.0], 1, 0.5) == []


def test_a_scan_that_fails_leaves_no_watcher(monkeypatch):
    index = VectorIndex()
    index.add(1, [1.0, 0.0])

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(Partition, "scan", staticmethod(fail))
    with pytest.raises(MemoryError):
        index.search([1.0, 0.0], 1, 0.5)
    assert next(iter(index._partitions.values())).watchers is None


def test_searching_threads_never_see_a_wrong_pair_or_miss_a_resident():
    """Two threads search while two others add and remove; some vectors stay all the time."""
    rows = unit_rows(5, 3000, 16)
    index = VectorIndex()
    residents = list(range(0, 3000, 100))
    for id in range(3000):
        index.add(id, rows[id])
    stop = threading.Event()
    problems = []

    def churn(seed):
        random = np.random.default_rng(seed)
        while not stop.is_set():
            id = int(random.integers(seed, 1500)) * 2 + seed
            if id % 100:
                index.remove(id)
                index.add(id, rows[id])

    def look(seed):
        random = np.random.default_rng(seed)
        for _ in range(400):
            target = residents[int(random.integers(len(residents)))]
            found = index.search(rows[target], 4, -1.0)
            if found[0] != (target, pytest.approx(1.0)):
                problems.append(f"resident {target} missed: {found}")
            problems.extend(
                f"wrong pair {id}, {cosine}"
                for id, cosine in found
                if abs(float(rows[id] @ rows[target]) - cosine) > 1e-5
            )

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
    assert sorted(index._where) == list(range(3000))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["set", "drop", "put"]),
            st.integers(-(2**62), 2**62) | st.integers(-300, 300),
            st.integers(0, 50),
        ),
        max_size=40,
    )
)
def test_places_are_a_dict(steps):
    places, model = Places(), {}
    for what, id, count in steps:
        if what == "set":
            places[id] = model[id] = count
        elif what == "put":
            places.put(range(id, id + count), 7)
            model.update(zip(range(id, id + count), range(7, 7 + count), strict=True))
        elif id in model:
            del places[id], model[id]
        assert places.get(id) == model.get(id, -1)
        assert (id in places) == (id in model)
    assert sorted(places) == sorted(model)
    assert len(places) == len(model)
    assert all(places[id] == place for id, place in model.items())


def test_many_places_at_once():
    ids = np.random.default_rng(3).permutation(20_000) - 5_000
    places = Places()
    places.put(ids.tolist(), 100)
    assert [places[id] for id in ids.tolist()] == list(range(100, 20_100))
    assert len(places) == 20_000
