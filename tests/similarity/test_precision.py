"""The model in 8 bits: its vectors, its file, and what happens where it does not work."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semantic_llm_cache import EmbeddingUnavailableError, Request, SemanticCache, reembed_cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import (
    EmbeddingCache,
    OnnxEmbeddingProvider,
    create_embedding_provider,
    quantized,
    weights,
)
from semantic_llm_cache.similarity.selftest import PRECISION_TEXTS, precision_test

FP32 = "onnx:all-MiniLM-L6-v2:384:unit:53aa5117"
INT8 = f"{FP32}:int8"
TEXTS = [
    "What is the capital of France?",
    "How do I reset my password on the company's web site?",
    "def f(x):\n\treturn x ** 2  # [SEP]",
    "naïve café, ¿qué tal? 한국어 日本語 😀",
    "Write a haiku about the sea",
    "The quick brown fox jumps over the lazy dog. " * 40,
    "",
]


@pytest.fixture(scope="module")
def int8() -> OnnxEmbeddingProvider:
    provider = OnnxEmbeddingProvider(threads=1, precision="int8")
    provider.load()
    assert provider.precision == "int8"
    return provider


@pytest.fixture(scope="module")
def fp32() -> OnnxEmbeddingProvider:
    return OnnxEmbeddingProvider(threads=1, precision="fp32")


@pytest.fixture(scope="module")
def data() -> bytearray:
    return quantized.contents(weights.locate())


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the published weights, and a cache folder that is empty."""
    source = weights.locate().parent
    place = tmp_path / "weights"
    place.mkdir()
    for name in ("vocab.txt", "model.safetensors"):
        os.symlink(source / name, place / name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return place


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_vectors_are_close_to_those_of_full_precision(int8, fp32):
    ours, exact = int8.encode_batch(TEXTS), fp32.encode_batch(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    *cosines, of_nothing = (ours * exact).sum(axis=1).tolist()
    assert min(cosines) >= 0.999
    assert of_nothing >= 0.995  # texts of one word or none have nothing over which the errors cancel out
    assert not np.array_equal(ours, exact)


def test_a_text_has_the_same_vector_alone_and_in_company(int8):
    texts = [f"question {i} " * (1 + i % 23) for i in range(40)] + TEXTS
    together = int8.encode_batch(texts)
    for i in range(0, len(texts), 5):
        assert float(int8.encode(texts[i]) @ together[i]) >= 0.99999


def test_the_fingerprint_names_it(int8, fp32):
    assert fp32.fingerprint == FP32
    assert int8.fingerprint == OnnxEmbeddingProvider(precision="int8").fingerprint == f"{FP32}:int8"


def test_arguments_and_environment(monkeypatch):
    with pytest.raises(ValueError, match="precision='int4' must be 'fp32' or 'int8'"):
        OnnxEmbeddingProvider(precision="int4")
    with pytest.raises(ValueError, match="CPU only"):
        OnnxEmbeddingProvider(precision="int8", device="cuda")
    monkeypatch.delenv("SEMANTIC_LLM_CACHE_PRECISION", raising=False)
    assert OnnxEmbeddingProvider().precision == "fp32"
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_PRECISION", "int8")
    assert OnnxEmbeddingProvider().precision == "int8"
    assert create_embedding_provider("auto").fingerprint == f"{FP32}:int8"
    assert OnnxEmbeddingProvider(precision="fp32").precision == "fp32"
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_PRECISION", "half")
    with pytest.raises(ValueError, match="SEMANTIC_LLM_CACHE_PRECISION='half'"):
        OnnxEmbeddingProvider()


def test_by_name():
    ours = create_embedding_provider("onnx:int8")
    assert ours.fingerprint == f"{FP32}:int8"
    assert ours is create_embedding_provider("onnx", "int8")
    assert create_embedding_provider("onnx:fp32") is create_embedding_provider("onnx")
    with pytest.raises(ValueError, match="fp32 or int8"):
        create_embedding_provider("onnx:int7")
    for given in ("int8", "auto:int8", "INT8"):
        with pytest.raises(ValueError, match=r"use 'onnx:int8', or keep 'auto' and set SEMANTIC_LLM_CACHE_PRECISION"):
            create_embedding_provider(given)


class TestFile:
    def test_its_content_is_pinned(self, data):
        assert hashlib.sha256(data).hexdigest() == quantized.INT8_SHA256
        assert quantized.INT8_SHA256[:8] in quantized.FILE

    def test_the_graph_is_what_the_script_writes(self, tmp_path):
        script = Path(__file__).parents[2] / "scripts" / "build_int8_graph.py"
        target = tmp_path / "graph.onnx"
        subprocess.run([sys.executable, str(script), str(target)], check=True, capture_output=True)
        assert target.read_bytes() == quantized.GRAPH.read_bytes()
        assert target.stat().st_size < 100_000

    def test_it_lies_beside_the_weights(self, folder, data):
        path = folder / "model.safetensors"
        assert quantized.find(path) is None
        assert quantized.obtain(path) == (folder / quantized.FILE, None, "")
        assert quantized.find(path) == folder / quantized.FILE
        assert sorted(item.name for item in folder.iterdir()) == [quantized.FILE, "model.safetensors", "vocab.txt"]

    def test_a_damaged_or_short_file_is_replaced(self, folder, data):
        file = folder / quantized.FILE
        for wrong in (data[:-1], data[:999] + b"\0\1\2" + data[1002:]):
            file.write_bytes(wrong)
            assert quantized.find(folder / "model.safetensors") is None
            assert quantized.obtain(folder / "model.safetensors").path == file
            assert file.read_bytes() == data

    def test_without_a_writable_folder_it_lies_in_the_cache_folder(self, folder, tmp_path, monkeypatch):
        monkeypatch.setattr(quantized, "contents", lambda path, real=quantized.contents: real(weights.locate()))
        closed = tmp_path / "closed"  # a file: not even root can write into it
        closed.write_bytes(b"")
        made = quantized.obtain(closed / "model.safetensors")
        assert made.path == tmp_path / "cache" / "semantic-llm-cache" / quantized.FILE
        assert quantized.find(closed / "model.safetensors") == made.path

    def test_with_no_room_for_a_file_it_works_from_memory(self, folder, int8, caplog):
        provider = OnnxEmbeddingProvider(folder, threads=1, precision="int8")
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))  # no file may become larger
        try:
            provider.load()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert len(warnings(caplog)) == 1
        assert "are kept in memory" in warnings(caplog)[0]
        assert provider.precision == "int8"
        assert np.array_equal(provider.encode("hello"), int8.encode("hello"))
        assert sorted(item.name for item in folder.iterdir()) == ["model.safetensors", "vocab.txt"]

    def test_several_processes_make_it_at_once(self, folder, int8):
        code = (
            "from semantic_llm_cache.similarity import OnnxEmbeddingProvider\n"
            f"provider = OnnxEmbeddingProvider({str(folder)!r}, threads=1, precision='int8')\n"
            "print(provider.encode('hello')[:3].tolist(), provider.precision)"
        )
        command = [sys.executable, "-W", "error", "-c", code]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
        ]
        outputs = {process.communicate(timeout=60) for process in running}
        assert outputs == {(f"{int8.encode('hello')[:3].tolist()} int8\n", "")}
        assert sorted(item.name for item in folder.iterdir()) == [quantized.FILE, "model.safetensors", "vocab.txt"]


class TestFallback:
    @pytest.fixture
    def off(self, monkeypatch):
        """As on a processor whose arithmetic differs: the vectors are not those that were stored."""
        from semantic_llm_cache.similarity import sessions

        stored = sessions.stored_vectors()
        monkeypatch.setattr(sessions, "stored_vectors", lambda: np.roll(stored, 1, axis=0))

    def test_other_vectors_than_stored_mean_fp32_and_one_warning(self, off, fp32, caplog):
        provider = OnnxEmbeddingProvider(threads=1, precision="int8")
        provider.load()
        assert (provider.precision, provider.fingerprint) == ("fp32", FP32)
        assert np.array_equal(provider.encode("hello"), fp32.encode("hello"))
        (line,) = warnings(caplog)
        assert line.startswith(
            "the 8-bit embedding model is not used on this machine, fp32 is: its vectors have a cosine"
        )

    def test_a_file_that_comes_out_otherwise_means_fp32(self, folder, monkeypatch, caplog):
        monkeypatch.setattr(quantized, "INT8_SHA256", "0" * 64)
        provider = OnnxEmbeddingProvider(folder, threads=1, precision="int8")
        provider.load()
        assert provider.fingerprint == FP32
        assert "differ from those that were tested" in warnings(caplog)[0]

    async def test_entries_are_stored_under_the_precision_in_use(self, off):
        provider = OnnxEmbeddingProvider(threads=1, precision="int8")
        backend = MemoryBackend()
        async with SemanticCache(backend, embedder=provider, similarity=0.9) as engine:
            await engine.store(Request("n", None, "What is Python?"), "A language.")
        ((_, entry),) = await backend.iterate()
        assert entry.embedder == FP32

    async def test_reembed_moves_nothing_where_8_bits_do_not_work(self, off):
        provider = OnnxEmbeddingProvider(threads=1, precision="int8")
        assert provider.fell_back is False
        backend = MemoryBackend()
        await backend.set("k", CacheEntry("What is Python?", "A language.", [1.0, 0.0], embedder=INT8))
        for _ in range(2):  # the second time the model is loaded already
            with pytest.raises(EmbeddingUnavailableError, match=r"does not work in 8 bits on this machine.*onnx:fp32"):
                await reembed_cache(backend, provider)
        assert provider.fell_back is True
        assert (await backend.get("k")).embedder == INT8

    async def test_vectors_of_texts_are_shared_under_the_precision_in_use(self, off, tmp_path):
        backend, kept = SQLiteBackend(tmp_path / "cache.db"), []

        async def keep(vectors):
            kept.extend(text.embedder for text in vectors)

        backend.keep_vectors = keep
        provider = OnnxEmbeddingProvider(threads=1, precision="int8")
        async with SemanticCache(backend, embedder=provider, similarity=0.9) as engine:
            await engine.get_or_call(Request("n", None, "What is Python?"), lambda: "A language.")
            await engine.get_or_call(Request("n", None, "What is Ruby?"), lambda: "A language.")
        assert kept == [FP32]  # the first text was embedded before this was known

    def test_a_vector_that_was_kept_before_is_not_mixed_with_those_of_full_precision(self, off, fp32):
        embedder = EmbeddingCache(OnnxEmbeddingProvider(threads=1, precision="int8"))
        embedder.keep("hello", np.ones(384) / 384**0.5)  # as the storage knew it, from a machine where 8 bits work
        assert embedder.known("hello") is not None
        embedder.load()
        assert np.array_equal(embedder.encode("hello"), fp32.encode("hello"))

    async def test_another_load_does_not_change_the_precision_meanwhile(self, off, monkeypatch):
        provider = OnnxEmbeddingProvider(threads=1, precision="int8")
        provider.load()
        await provider.close()
        seen, run = [], provider._run

        def spied(session, rows):
            seen.append(provider.precision)
            return run(session, rows)

        monkeypatch.setattr(provider, "_run", spied)
        provider.load()
        assert set(seen) == {"fp32"}

    def test_the_comparison(self, fp32):
        vectors = fp32.encode_batch(PRECISION_TEXTS)
        assert precision_test(lambda texts: vectors, vectors * 2) == ""
        assert "cosine of" in precision_test(lambda texts: vectors, vectors[::-1])
        assert precision_test(lambda texts: vectors * np.nan, vectors) != ""
