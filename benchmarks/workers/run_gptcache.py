"""GPTCache with SQLite and faiss; its embedding is replaced by a table of ready vectors."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
from gptcache import Cache  # type: ignore[import-not-found]
from gptcache.adapter import api  # type: ignore[import-not-found]
from gptcache.manager import CacheBase, VectorBase, get_data_manager  # type: ignore[import-not-found]
from gptcache.processor.post import first  # type: ignore[import-not-found]
from gptcache.processor.pre import get_prompt  # type: ignore[import-not-found]
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation  # type: ignore[import-not-found]

from benchmarks.workers.protocol import serve, time_calls, versions

_caches: dict[int, Any] = {}
_table: dict[str, Any] = {}
_fresh = itertools.count()


def fill(folder: str, vectors: str, prompts: list[str], response: str) -> int:
    """Make a cache with one entry for each row of the array file `vectors`, in bulk."""
    rows = np.load(vectors)
    path = os.path.join(folder, f"gptcache-{len(rows)}")
    manager = get_data_manager(
        CacheBase("sqlite", sql_url=f"sqlite:///{path}.db"),
        VectorBase("faiss", dimension=rows.shape[1], index_path=f"{path}.index", top_k=1),
        max_size=10_000_000,  # by default it forgets all but 1,000
    )
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda text, **_: _table[text],
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
        post_process_messages_func=first,
    )
    for start in range(0, len(rows), 1000):
        part = prompts[start : start + 1000]
        manager.import_data(part, [response] * len(part), list(rows[start : start + 1000]), [None] * len(part))
    manager.flush()
    _caches[len(rows)] = cache
    return len(rows)


def near(size: int, vectors: str, prompts: list[str], calls: int) -> Any:
    """Time hits by meaning; the embedding is a lookup in a dict."""
    _table.update(zip(prompts, np.load(vectors), strict=True))
    cache = _caches[size]
    if api.get(prompts[0], cache_obj=cache) is None:
        raise AssertionError("the first query must be a hit")
    items = list(itertools.islice(itertools.cycle(prompts), calls))
    return time_calls(lambda prompt: api.get(prompt, cache_obj=cache), items)


def put(size: int, vectors: str, calls: int, response: str) -> Any:
    """Time writes of new entries."""
    rows = np.load(vectors)
    prompts = [f"What is new in version {next(_fresh)}?" for _ in range(calls)]
    _table.update(zip(prompts, itertools.cycle(rows), strict=False))
    cache = _caches[size]
    return time_calls(lambda prompt: api.put(prompt, response, cache_obj=cache), prompts)


serve(
    {
        "fill": fill, "near": near, "put": put,
        "versions": lambda: versions("gptcache", "faiss-cpu", "sqlalchemy", "numpy"),
    }
)  # fmt: skip
