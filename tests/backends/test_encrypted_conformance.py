"""The contract, over encrypted backends."""

import pytest

from semantic_llm_cache.backends import EncryptedBackend, MemoryBackend, SQLiteBackend
from semantic_llm_cache.testing import BackendConformance

KEY, OLD = "ab" * 32, "cd" * 32


class TestEncryptedMemory(BackendConformance):
    def make_backend(self, clock):
        return EncryptedBackend(MemoryBackend(clock=clock), KEY)


class TestEncryptedSQLite(BackendConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "cache.db"

    def make_backend(self, clock):
        return EncryptedBackend(SQLiteBackend(self.path, clock=clock), KEY)


class TestTwoKeys(BackendConformance):
    def make_backend(self, clock):
        return EncryptedBackend(MemoryBackend(clock=clock), [KEY, OLD], vectors="clear")
