"""What the tests of large partitions and of their files share."""

import subprocess
import sys

import numpy as np

from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index.snapshot import write

DIM = 16


def unit_rows(seed, count, dimension=DIM):
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


ROWS = unit_rows(1, 4000)


def filled(count=1000, list_rows=500, **place):
    index = VectorIndex(list_rows=list_rows)
    index.add_many(list(range(1, count + 1)), ROWS[:count], **place)
    assert index.indexer.wait(20)
    return index


def only(index):
    (partition,) = index.partitions()
    return partition


def listed(lists):
    return {id for _, ids, count in lists._lists for id in ids[:count].tolist()}


def consistent(index):
    """What the bookkeeping must agree on when nothing runs."""
    for partition in index.partitions():
        assert len(partition.ids) == partition.count
        assert 0 <= partition.indexed <= partition.count
        for number, id in enumerate(partition.ids):
            assert index._where[id] == partition.number << 40 | number
        if partition.lists is None:
            assert partition.indexed == 0
        else:
            assert set(partition.ids[: partition.indexed]) <= listed(partition.lists)
    assert sum(p.count for p in index.partitions()) == len(index)


def saved(index, path, check=lambda: None, **info):
    """Write in the thread of the indexer, as the backend does."""
    problems, results = [], []

    def job():
        try:
            with open(path, "w+b") as file:
                results.append(write(index, file, info, check))
        except BaseException as error:
            problems.append(error)

    assert index.indexer.run(job)
    assert index.indexer.wait(20)
    if problems:
        raise problems[0]
    return results[0]


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)


PRELUDE = """
import os, sys, time
import numpy as np
rows = np.random.default_rng(1).normal(size=(3000, 16)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
from semantic_llm_cache.index import VectorIndex
index = VectorIndex(list_rows=500)
"""
