"""`Parallel` runs pieces at once, in order, and without waiting for others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

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
