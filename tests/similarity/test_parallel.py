"""`Parallel` runs pieces at once, in order, and without waiting for others."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from semantic_llm_cache.similarity import OnnxEmbeddingProvider
from semantic_llm_cache.similarity.parallel import Parallel


def test_pieces_run_at_once_and_results_keep_their_order():
    together = threading.Barrier(3, timeout=10)

    def double(piece: int) -> int:
        if piece < 3:  # the first three wait for each other: with fewer threads this would never end
            together.wait()
        return 2 * piece

    parallel = Parallel(3)
    assert parallel.map(double, range(20)) == [2 * piece for piece in range(20)]
    parallel.close()
    assert parallel.map(abs, [-1, -2]) == [1, 2]  # usable again
    parallel.close()


def test_one_thread_or_one_piece_stays_with_the_caller():
    here = threading.get_ident()
    assert Parallel(1).map(lambda _: threading.get_ident(), [0, 1, 2]) == [here] * 3
    assert Parallel(4).map(lambda _: threading.get_ident(), [0]) == [here]
    assert Parallel(4).map(len, []) == []


@pytest.mark.parametrize("bad", [0, 1, 7])
def test_an_error_ends_the_batch_and_is_raised(bad):
    done = []

    def fail(piece: int) -> int:
        if piece == bad:
            raise ValueError("bad piece")
        done.append(piece)
        return piece

    parallel = Parallel(2)
    with pytest.raises(ValueError, match="bad piece"):
        parallel.map(fail, range(1000))
    assert len(done) < 999
    assert parallel.map(fail, [2, 3, 4]) == [2, 3, 4]
    parallel.close()


def test_an_error_keeps_no_piece_alive():
    class Piece:
        pass

    begun = threading.Event()

    def fail(_: Piece) -> None:
        if threading.current_thread() is threading.main_thread():
            assert begun.wait(10)  # so that the other thread raises too
        begun.set()
        raise ValueError("bad piece")

    def failed() -> weakref.ref[Piece]:
        pieces = [Piece() for _ in range(4)]
        with contextlib.suppress(ValueError):
            parallel.map(fail, pieces)
        return weakref.ref(pieces[0])

    parallel = Parallel(2)
    gc.collect()
    gc.disable()
    try:
        piece = failed()
        parallel.close()
        assert _soon(lambda: piece() is None)  # the other thread may still be dropping it
    finally:
        gc.enable()


def test_where_no_thread_can_be_started_the_caller_does_it_all_and_nothing_is_left(monkeypatch):
    class Piece:
        pass

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    parallel = Parallel(3)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    pieces = [Piece() for _ in range(20)]
    assert parallel.map(lambda piece: piece, pieces) == pieces
    piece = weakref.ref(pieces.pop())
    pieces.clear()
    gc.collect()
    assert piece() is None
    monkeypatch.undo()
    assert parallel.map(abs, [-1, -2, -3]) == [1, 2, 3]
    parallel.close()


def test_a_caller_goes_on_when_another_could_start_no_thread(monkeypatch):
    begun, go, results = threading.Event(), threading.Event(), []

    def hold(piece: int) -> int:
        begun.set()
        assert go.wait(10)
        return piece

    parallel = Parallel(3, "crowded")
    first = threading.Thread(target=lambda: results.extend(parallel.map(hold, range(6))))
    first.start()
    assert begun.wait(10)
    pool = parallel._pool
    assert pool is not None
    pool._max_workers = 99  # so that it tries to start another one
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
    assert parallel.map(abs, [-1, -2, -3]) == [1, 2, 3]
    monkeypatch.undo()
    go.set()
    first.join(10)
    assert results == list(range(6))
    parallel.close()
    assert _soon(lambda: not any(thread.name.startswith("crowded") for thread in threading.enumerate()))


def _soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


def test_a_caller_does_not_wait_for_threads_that_are_busy_for_others():
    parallel, begun, release = Parallel(2), threading.Barrier(3, timeout=10), threading.Event()

    def hold(_: int) -> None:
        begun.wait()
        release.wait(10)

    holder = threading.Thread(target=parallel.map, args=(hold, [0, 1]))
    holder.start()
    begun.wait()
    try:
        assert parallel.map(abs, [-1, -2, -3]) == [1, 2, 3]
    finally:
        release.set()
        holder.join()
        parallel.close()


def test_a_model_in_8_bits_uses_its_threads_for_batches():
    texts = [f"What is number {number} good for, and who says so?" for number in range(60)]
    one, three = (OnnxEmbeddingProvider(threads=count, precision="int8") for count in (1, 3))
    used: set[int] = set()
    run = three._run

    def spied(session, rows):
        used.add(threading.get_ident())
        return run(session, rows)

    three._run = spied  # type: ignore[method-assign]
    np.testing.assert_allclose(three.encode_batch(texts), one.encode_batch(texts), atol=2e-4)
    assert len(used) > 1
    used.clear()
    three.encode("What is Python?")
    assert used == {threading.get_ident()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_its_own_threads():
    code = (
        "import os\n"
        "from semantic_llm_cache.similarity.parallel import Parallel\n"
        "parallel = Parallel(2)\n"
        "assert parallel.map(abs, [-1, -2, -3]) == [1, 2, 3]\n"
        "if os.fork() == 0:\n"
        "    os._exit(0 if parallel.map(abs, [-1, -2, -3]) == [1, 2, 3] else 1)\n"
        "assert os.wait()[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=30)


def test_interpreter_exit_does_not_wait_for_the_whole_batch():
    code = (
        "import threading, time\n"
        "from semantic_llm_cache.similarity.parallel import Parallel\n"
        "begun = threading.Event()\n"
        "def slow(piece):\n"
        "    begun.set()\n"
        "    time.sleep(0.05)\n"
        "threading.Thread(target=Parallel(2).map, args=(slow, range(10_000)), daemon=True).start()\n"
        "begun.wait()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
