"""`SentenceTransformerProvider` with the real package, run by ``make test-torch``."""

import asyncio
import json
import shutil
import threading

import numpy as np
import pytest

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import SentenceTransformerProvider, create_embedding_provider

TEXTS = [
    "hello",
    "What is Python?",
    "How do I reset my password?",
    "the quick brown fox jumps over the lazy dog. " * 5,
    "In the beginning the cache was empty, and misses were upon the face of the table. " * 12,
    "word " * 254,
    "a" * 90,
    "日本語のテキスト",
    "naïve café, Привет",
    "line\nbreak\ttab  and   spaces",
    "def f(x):\n    return x ** 2",
    "1,234.56 USD → EUR",
    "",
    " ",
]


# ------------------------------------------------------------------------------------ vectors


def test_it_agrees_with_the_onnx_provider(minilm, onnx):
    ours, theirs = onnx.encode_batch(TEXTS), minilm.encode_batch(TEXTS)
    assert theirs.shape == (len(TEXTS), 384)
    assert theirs.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(np.linalg.norm(theirs, axis=1) - 1).max() < 1e-6
    for text in TEXTS:
        assert np.abs(minilm.encode(text) - onnx.encode(text)).max() < 1e-5


def test_it_reads_as_far_as_the_onnx_provider(minilm, onnx):
    texts = [*TEXTS, "word " * 255, "x " * 300, "e" * 5000]
    assert [minilm.readable(text) for text in texts] == [onnx.readable(text) for text in texts]
    assert not minilm.readable("word " * 255)


def test_it_knows_what_its_tokenizer_does_not(minilm):
    assert minilm.unseen("plain text") == minilm.unseen("other text")
    assert minilm.unseen("I feel \U0001f600") != minilm.unseen("I feel \U0001f622")
    assert minilm.unseen("say \u1403") != minilm.unseen("say \u1404")


def test_a_text_alone_and_in_a_batch_is_the_same(minilm):
    together = minilm.encode_batch(TEXTS * 2)
    for row, text in zip(together, TEXTS, strict=False):
        assert np.abs(row - minilm.encode(text)).max() < 1e-5


async def test_async_batches(minilm):
    rows = await asyncio.gather(*(minilm.aencode(text) for text in TEXTS))
    assert np.abs(np.array(rows) - minilm.encode_batch(TEXTS)).max() < 1e-5
    assert np.abs(await minilm.aencode_batch(TEXTS) - minilm.encode_batch(TEXTS)).max() < 1e-5


async def test_no_texts_give_no_rows(minilm):
    assert minilm.encode_batch([]).shape == (0, 384)
    assert (await minilm.aencode_batch([])).shape == (0, 384)


def test_dimension_and_device(minilm, build):
    assert minilm.dimension == 384
    assert str(minilm._model.device) == "cpu"
    assert SentenceTransformerProvider(str(build())).dimension == 32
    with pytest.raises(EmbeddingUnavailableError, match="cannot be loaded"):
        SentenceTransformerProvider(str(build("other")), device="nonsense").load()


def test_another_number_of_threads_gives_the_same_vectors(minilm):
    import torch

    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(minilm.encode_batch(TEXTS))
    finally:
        torch.set_num_threads(before)
    assert np.abs(found[0] - found[1]).max() < 1e-6


def test_many_threads_encode_and_read_at_once(minilm):
    texts = ["long words here " * n for n in (1, 10, 60)]
    expected, wrong = minilm.encode_batch(texts), []

    def encode():
        for _ in range(8):
            if np.abs(minilm.encode_batch(texts) - expected).max() > 1e-5:
                wrong.append("another vector")

    def read():
        for _ in range(200):
            if not minilm.readable("é" + texts[1]) or minilm.readable("é" + "x " * 300):
                wrong.append("read wrongly")
            minilm.unseen("é" + texts[1])

    def tell(job):
        try:
            job()
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=tell, args=(job,)) for job in (encode, encode, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ------------------------------------------------------------------------------------ fingerprints, limits


def test_a_folder_counts_by_its_content(build, tmp_path, folder):
    one, other = build("one", seed=0), build("other", seed=1)
    first = SentenceTransformerProvider(str(one)).fingerprint
    assert first.startswith("sentence-transformers:one:")
    assert first.endswith(":unit")
    (tmp_path / "moved").mkdir()
    moved = shutil.copytree(one, tmp_path / "moved" / "one")
    (moved / "README.md").write_text("other words")
    assert SentenceTransformerProvider(f"{moved}/").fingerprint == first
    shutil.copy(other / "model.safetensors", moved / "model.safetensors")
    assert SentenceTransformerProvider(str(moved)).fingerprint != first
    assert SentenceTransformerProvider(str(other)).fingerprint != first
    assert SentenceTransformerProvider("all-MiniLM-L6-v2").fingerprint == "sentence-transformers:all-MiniLM-L6-v2:unit"
    assert not SentenceTransformerProvider(folder).loaded


def test_a_change_in_the_middle_of_large_weights_counts(build):
    place = build()
    large = place / "more.bin"
    large.write_bytes(b"\0" * (3 << 20))
    first = SentenceTransformerProvider(str(place)).fingerprint
    large.write_bytes(bytes(range(256)) * (3 << 12))
    assert SentenceTransformerProvider(str(place)).fingerprint != first


def test_a_model_that_reads_little_says_so(build):
    provider = SentenceTransformerProvider(str(build(limit=16)))
    provider.load()
    assert provider.readable("how do i reset my password ?")
    assert not provider.readable("a b c " * 6)  # 36 characters, 18 tokens
    assert np.allclose(provider.encode("a b c " * 6), provider.encode("a b c " * 9), atol=1e-6)


async def test_near_hits_through_the_cache(minilm, build):
    calls = []
    engine = SemanticCache("memory://", similarity=0.9, embedder=minilm)

    @engine.cache()
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return "answer"

    await ask("How do I reset my password?")
    await ask("How can I reset my password?")
    assert len(calls) == 1
    assert last_lookup().outcome == "near"
    await engine.close()
    assert create_embedding_provider("sentence-transformers", str(build())).dimension == 32


async def test_closed_it_loads_again(build):
    provider = SentenceTransformerProvider(str(build()))
    first = await provider.aencode("how do i reset my password")
    await provider.close()
    assert not provider.loaded
    assert np.abs(await provider.aencode("how do i reset my password") - first).max() < 1e-6


# ------------------------------------------------------------------------------------ nothing unexpected


def test_code_in_a_model_is_never_run(build, tmp_path):
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w').close()\nfrom sentence_transformers.models import Transformer as Own\n"
    own = build("own")
    (own / "own.py").write_text(evil)
    modules = json.loads((own / "modules.json").read_text())
    modules[0]["type"] = "own.Own"
    (own / "modules.json").write_text(json.dumps(modules))
    mapped = build("mapped")
    (mapped / "own.py").write_text(evil)
    config = json.loads((mapped / "config.json").read_text())
    config.update(model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"})
    (mapped / "config.json").write_text(json.dumps(config))
    with pytest.raises(EmbeddingUnavailableError, match=r"code of its own \(own\.Own\)"):
        SentenceTransformerProvider(str(own)).load()
    with pytest.raises(EmbeddingUnavailableError, match="cannot be loaded"):
        SentenceTransformerProvider(str(mapped)).load()
    assert not ran.exists()
    (own / "modules.json").write_text("{")
    with pytest.raises(EmbeddingUnavailableError, match=r"modules\.json"):
        SentenceTransformerProvider(str(own)).load()


QUIET = """
import socket
asked = []
def refuse(*given, **more):
    asked.append(given)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import SentenceTransformerProvider
SentenceTransformerProvider().load()
for name in ("no-such-model", "no/such-model", "/no/such/folder", "no such name"):
    try:
        SentenceTransformerProvider(name).load()
    except EmbeddingUnavailableError as error:
        assert "allow_download=True" in str(error), error
    else:
        raise SystemExit("loaded")
print(asked)
"""


def test_it_asks_nobody_and_prints_nothing(script):
    assert script(QUIET) == (0, "[]\n", "")


FORK = """
import asyncio, os, sys, torch
import numpy as np
from semantic_llm_cache.similarity import SentenceTransformerProvider
torch.set_num_threads(2)
provider = SentenceTransformerProvider()
texts = ["hello " * 100] * 32
expected = provider.encode_batch(texts)
asyncio.run(provider.aencode("hello"))
child = os.fork()
if child == 0:
    found = [provider.encode_batch(texts), asyncio.run(provider.aencode_batch(texts))]
    same = all(np.abs(rows - expected).max() < 1e-5 for rows in found)
    os._exit(0 if same and torch.get_num_threads() == 1 else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert torch.get_num_threads() == 2
sys.exit(status)
"""


def test_a_forked_child_has_a_model_of_its_own(script):
    status, _, errors = script(FORK)
    assert status == 0, errors


EXIT = """
import asyncio, time
from semantic_llm_cache.similarity import SentenceTransformerProvider
provider = SentenceTransformerProvider()
provider.load()
async def main():
    asyncio.ensure_future(provider.aencode_batch(["word " * 200] * 64))
    await asyncio.sleep(0.2)
asyncio.run(main())
print(time.time(), flush=True)
"""


def test_a_process_that_does_not_close_ends_with_its_own_status(script):
    status, _, errors = script(EXIT)
    assert (status, errors) == (0, "")
