import pytest
from index_helpers import DIM

from semantic_llm_cache.index import indexer as indexer_module
from semantic_llm_cache.index import partition as partition_module


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(indexer_module, "_TAIL", 8)
    monkeypatch.setattr(partition_module, "_BLOCK_BYTES", 4 * DIM * 150)
