"""`LoadOnce`: one load for all threads, a pause after a failure, another value in a forked process."""

import os
import subprocess
import sys
import threading
import time

import pytest

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity.loading import LoadOnce


def describe(error):
    return f"cannot be loaded: {error}"


def test_threads_that_come_together_load_once():
    loads = []

    def load():
        time.sleep(0.05)
        loads.append(object())
        return loads[-1]

    model = LoadOnce(load, describe)
    found = []
    threads = [threading.Thread(target=lambda: found.append(model.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert found == loads * 8


def test_a_failure_is_repeated_until_the_pause_is_over():
    tries = []

    def load():
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no file")
        return "model"

    model = LoadOnce(load, describe, retry_after=0.2)
    for _ in range(2):
        with pytest.raises(EmbeddingUnavailableError, match=r"^cannot be loaded: no file$"):
            model.get()
    assert len(tries) == 1
    assert not model.loaded
    time.sleep(0.25)
    assert model.get() == "model"


def test_a_message_of_our_own_is_kept():
    def load():
        raise EmbeddingUnavailableError("run: pip install it")

    with pytest.raises(EmbeddingUnavailableError, match=r"^run: pip install it$"):
        LoadOnce(load, describe).get()


def test_what_is_dropped_is_loaded_again():
    loads = iter("ab")
    model = LoadOnce(lambda: next(loads), describe)
    assert model.drop() is None
    assert model.get() == "a"
    assert model.drop() == "a"
    assert not model.loaded
    assert model.get() == "b"


FORK = """
import os
from semantic_llm_cache.similarity.loading import LoadOnce

model = LoadOnce(lambda: [os.getpid()], str, native={native})
assert model.get() == [os.getpid()]
pid = os.fork()
if pid == 0:
    os._exit(0 if not model.loaded and model.get() == [os.getpid()] else 1)
assert os.waitpid(pid, 0)[1] == 0
assert model.value == [os.getpid()]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("native", [True, False])
def test_a_forked_process_loads_its_own(native):
    subprocess.run([sys.executable, "-c", FORK.format(native=native)], check=True, timeout=60)
