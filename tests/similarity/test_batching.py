"""EncodeBatcher, with encoders that are slow on purpose."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import DummyEmbeddingProvider
from semantic_llm_cache.similarity.batching import EncodeBatcher


class Gate:
    """An encoder that notes its batches and waits, each time, to be let through."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.started = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.is_open = is_open
        self.inner = DummyEmbeddingProvider(dimension=8)

    def __call__(self, texts):
        self.batches.append(list(texts))
        self.started.release()
        if not self.is_open:
            assert self.let.acquire(timeout=10)
        return self.inner.encode_batch(texts)

    def open(self):
        self.is_open = True
        self.let.release(100)

    async def has_started(self):
        assert await asyncio.to_thread(self.started.acquire, timeout=10)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_waits_while_one_runs_becomes_one_batch(gate):
    batcher = EncodeBatcher(gate)
    first = asyncio.create_task(batcher.submit("first"))
    await gate.has_started()
    rest = [asyncio.create_task(batcher.submit(f"text {i}")) for i in range(10)]
    await settle()
    gate.open()
    await asyncio.gather(first, *rest)
    assert gate.batches == [["first"], [f"text {i}" for i in range(10)]]
    assert np.array_equal(rest[3].result(), gate.inner.encode("text 3"))


async def test_batches_hold_max_batch_at_most(gate):
    batcher = EncodeBatcher(gate, max_batch=4)
    tasks = [asyncio.create_task(batcher.submit("first"))]
    await gate.has_started()
    tasks += [asyncio.create_task(batcher.submit(f"text {i}")) for i in range(10)]
    await settle()
    gate.open()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in gate.batches] == [1, 4, 4, 2]


async def test_one_text_queued_or_running_is_encoded_once(gate):
    batcher = EncodeBatcher(gate)
    tasks = [asyncio.create_task(batcher.submit("running"))]
    await gate.has_started()
    tasks += [asyncio.create_task(batcher.submit(text)) for text in ("running", "queued", "queued")]
    await settle()
    gate.open()
    await asyncio.gather(*tasks)
    assert gate.batches == [["running"], ["queued"]]


async def test_cancelling_one_disturbs_no_other(gate):
    batcher = EncodeBatcher(gate)
    blocker = asyncio.create_task(batcher.submit("running"))
    await gate.has_started()
    tasks = [asyncio.create_task(batcher.submit(text)) for text in ("running", "running", "a", "a", "b")]
    await settle()
    for cancelled in (blocker, tasks[0], tasks[2], tasks[4]):
        cancelled.cancel()
    await settle()
    gate.open()
    assert np.array_equal(await tasks[1], gate.inner.encode("running"))
    assert np.array_equal(await tasks[3], gate.inner.encode("a"))
    assert all(task.cancelled() for task in (blocker, tasks[0], tasks[2], tasks[4]))
    assert gate.batches == [["running"], ["a"]]  # nobody waited for "b" any more


async def test_a_full_queue_refuses_at_once(gate):
    batcher = EncodeBatcher(gate, max_queue=3)
    tasks = [asyncio.create_task(batcher.submit("running"))]
    await gate.has_started()
    tasks += [asyncio.create_task(batcher.submit(f"text {i}")) for i in range(3)]
    await settle()
    with pytest.raises(EmbeddingUnavailableError, match="overloaded: 3 texts"):
        await batcher.submit("one more")
    joined = asyncio.create_task(batcher.submit("text 1"))  # takes no place of its own
    tasks[3].cancel()
    await settle()
    late = asyncio.create_task(batcher.submit("one more"))  # in the place of the one cancelled
    await settle()
    gate.open()
    await asyncio.gather(joined, late, *tasks[:3])


async def test_a_long_list_neither_fills_the_queue_nor_holds_up_a_single_text():
    gate = Gate()
    batcher = EncodeBatcher(gate, max_batch=4, max_queue=4)
    texts = [f"text {i % 30}" for i in range(60)]
    many = asyncio.create_task(batcher.submit_many(texts))
    await gate.has_started()
    single = asyncio.create_task(batcher.submit("single"))
    await settle()
    gate.let.release(2)
    await single
    assert not many.done()
    gate.open()
    assert np.array_equal(await many, gate.inner.encode_batch(texts))
    assert sum(len(batch) for batch in gate.batches) == 31
    assert (await batcher.submit_many([])).size == 0


async def test_a_failing_provider_fails_the_batch_once():
    calls = []

    def encode(texts):
        calls.append(len(texts))
        raise EmbeddingUnavailableError("no model here")

    batcher = EncodeBatcher(encode)
    results = await asyncio.gather(*(batcher.submit(f"{i}") for i in range(5)), return_exceptions=True)
    assert all(isinstance(r, EmbeddingUnavailableError) and str(r) == "no model here" for r in results)
    assert sum(calls) == 5


async def test_one_bad_text_fails_alone():
    inner = DummyEmbeddingProvider(dimension=8)

    def encode(texts):
        if "bad" in texts:
            raise ValueError("cannot read this")
        return inner.encode_batch(texts)

    batcher = EncodeBatcher(encode)
    good, bad, fine = await asyncio.gather(
        *(batcher.submit(text) for text in ("good", "bad", "fine")), return_exceptions=True
    )
    assert isinstance(bad, ValueError)
    assert np.array_equal(np.stack([good, fine]), inner.encode_batch(["good", "fine"]))
    with pytest.raises(ValueError, match="cannot read this"):
        await batcher.submit_many(["good", "bad", "fine"])


@pytest.mark.parametrize("error", [StopIteration("x"), SystemExit(3), KeyboardInterrupt()])
async def test_any_exception_arrives_and_the_worker_goes_on(error):
    failing = True

    def encode(texts):
        if failing:
            raise error
        return np.ones((len(texts), 2), dtype=np.float32)

    batcher = EncodeBatcher(encode)
    with pytest.raises(RuntimeError, match="encoding raised"):
        await batcher.submit("a")
    failing = False
    assert (await batcher.submit("a")).shape == (2,)


async def test_a_wrong_number_of_vectors_is_an_error():
    batcher = EncodeBatcher(lambda texts: np.ones((len(texts) + 1, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="1 texts came back as 2 vectors"):
        await batcher.submit("a")


def test_loops_that_come_and_go_and_run_at_once():
    gate = Gate(is_open=True)
    batcher = EncodeBatcher(gate)
    assert np.array_equal(asyncio.run(batcher.submit("x")), asyncio.run(batcher.submit("x")))

    async def several(n):
        return await asyncio.gather(*(batcher.submit(f"{n % 2} {i}") for i in range(50)))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: asyncio.run(several(n)), range(8)))
    for n, rows in enumerate(results):
        assert np.array_equal(np.stack(rows), gate.inner.encode_batch([f"{n % 2} {i}" for i in range(50)]))


def test_a_loop_that_ends_while_it_waits_leaves_the_others_served(gate):
    batcher = EncodeBatcher(gate)

    async def impatient():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batcher.submit("text"), 0.02)

    async def patient():
        task = asyncio.create_task(batcher.submit("text"))
        await gate.has_started()
        await asyncio.to_thread(asyncio.run, impatient())
        gate.open()
        return await task

    assert np.array_equal(asyncio.run(patient()), gate.inner.encode("text"))


async def test_close_ends_the_thread_and_the_next_text_starts_another():
    batcher = EncodeBatcher(Gate(is_open=True), name="batcher-under-test")
    await batcher.submit("a")
    batcher.close()
    batcher.close()
    for thread in threading.enumerate():
        if thread.name == "batcher-under-test":
            await asyncio.to_thread(thread.join, 5)
    assert "batcher-under-test" not in [thread.name for thread in threading.enumerate()]
    assert (await batcher.submit("b")).shape == (8,)


async def test_close_while_texts_wait_still_answers_them(gate):
    batcher = EncodeBatcher(gate)
    tasks = [asyncio.create_task(batcher.submit("a"))]
    await gate.has_started()
    tasks.append(asyncio.create_task(batcher.submit("b")))
    await settle()
    batcher.close()
    gate.open()
    await asyncio.gather(*tasks)


async def test_an_idle_worker_ends_so_that_a_forgotten_batcher_is_freed(monkeypatch):
    from semantic_llm_cache.similarity import batching

    monkeypatch.setattr(batching, "_LINGER", 0.01)
    batcher = EncodeBatcher(Gate(is_open=True))
    await batcher.submit("a")
    await asyncio.sleep(0.05)
    await batcher.submit("b")
    gone = weakref.ref(batcher)
    del batcher
    for _ in range(200):
        await asyncio.sleep(0.01)
        gc.collect()
        if gone() is None:
            break
    assert gone() is None


@pytest.mark.parametrize("argument", ["max_batch", "max_queue"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_limits_are_checked(argument, value):
    with pytest.raises(ValueError, match=f"{argument}="):
        EncodeBatcher(lambda texts: np.ones((1, 1)), **{argument: value})


def test_a_process_exits_at_once_with_its_own_status_while_a_batch_runs():
    code = """
import asyncio, sys, threading, time
from semantic_llm_cache.similarity.batching import EncodeBatcher
started = threading.Event()
def encode(texts):
    started.set()
    time.sleep(60)
batcher = EncodeBatcher(encode)
async def main():
    task = asyncio.create_task(batcher.submit("text"))
    await asyncio.to_thread(started.wait)
asyncio.run(main())
sys.exit(5)
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (5, "")
    assert time.monotonic() - begun < 30


def test_a_forked_child_has_a_worker_of_its_own():
    code = """
import asyncio, os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np
from semantic_llm_cache.similarity.batching import EncodeBatcher
def encode(texts):
    time.sleep(0.2)
    return np.full((len(texts), 1), os.getpid())
batcher = EncodeBatcher(encode)
async def main():
    waiting = asyncio.create_task(batcher.submit("running"))
    await asyncio.sleep(0.05)
    child = os.fork()  # while the worker is busy
    if child == 0:
        os._exit(0 if child_is_served() else 9)
    print(os.waitstatus_to_exitcode(await asyncio.to_thread(lambda: os.waitpid(child, 0)[1])), flush=True)
    assert (await waiting)[0] == os.getpid()
def child_is_served():
    got = []
    import threading
    thread = threading.Thread(target=lambda: got.append(asyncio.run(batcher.submit("running"))[0]))
    thread.start()
    thread.join(10)
    return got == [os.getpid()]
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=os.environ, check=False
    )
    assert (done.stdout.strip(), done.returncode, done.stderr) == ("0", 0, "")
