"""Functions, the OpenAI API, sentence-transformers and the dummy as embedders; embedders by name."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import (
    CallableEmbeddingProvider,
    DummyEmbeddingProvider,
    OnnxEmbeddingProvider,
    OpenAIEmbeddingProvider,
    SentenceTransformerProvider,
    check_available,
    create_embedding_provider,
    get_default_embedder,
    resolve_embedder,
    self_test,
    set_default_embedder,
    weights,
)


def vector(text):
    return [float(len(text)), 1.0, 2.0]


def unit_vector(text):
    v = np.array(vector(text))
    return v / np.linalg.norm(v)


class TestDummy:
    @given(st.lists(st.text(), min_size=1, max_size=5))
    def test_equal_texts_match_and_no_others(self, texts):
        rows = DummyEmbeddingProvider().encode_batch(texts)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        for i, a in enumerate(texts):
            for j, b in enumerate(texts):
                assert (rows[i] @ rows[j] > 0.9) == (a == b)

    def test_is_the_same_everywhere(self):
        row = DummyEmbeddingProvider(dimension=4).encode("hello")
        np.testing.assert_allclose(row, [-0.952335, -0.303348, 0.004488, 0.031898], atol=1e-5)
        assert row.dtype == np.float32
        assert np.array_equal(asyncio.run(DummyEmbeddingProvider(4).aencode("hello")), row)
        assert np.array_equal(asyncio.run(DummyEmbeddingProvider(4).aencode_batch(["hello"]))[0], row)

    @pytest.mark.parametrize("dimension", [0, -3, 1.5, True])
    def test_dimension_is_checked(self, dimension):
        with pytest.raises(ValueError, match="dimension="):
            DummyEmbeddingProvider(dimension)


def one(text: str):
    return vector(text)


def many(texts):
    return [vector(t) for t in texts]


def annotated_many(x: list[str]):
    return np.array([vector(t) for t in x])


def sequence_many(x: Sequence[str]):
    return [np.array(vector(t)) for t in x]


def texts_that_is_one(texts: str):
    return vector(texts)


async def async_one(text):
    await asyncio.sleep(0)
    return vector(text)


async def async_many(sentences):
    await asyncio.sleep(0)
    return many(sentences)


class Model:
    def __call__(self, documents):
        return many(documents)

    def embed(self, text):
        return vector(text)

    async def aembed(self, inputs, model="m"):
        return many(inputs)


class AsyncModel:
    async def __call__(self, text):
        return vector(text)


FUNCTIONS = {
    "one": one,
    "many": many,
    "annotated_many": annotated_many,
    "sequence_many": sequence_many,
    "texts_that_is_one": texts_that_is_one,
    "async_one": async_one,
    "async_many": async_many,
    "lambda": lambda t: vector(t),
    "lambda around async": lambda t: async_one(t),
    "partial": functools.partial(lambda scale, text: [scale * x for x in vector(text)], 3),
    "partial async": functools.partial(Model().aembed, model="n"),
    "callable object": Model(),
    "async callable object": AsyncModel(),
    "method": Model().embed,
    "async method": Model().aembed,
    "row of one": lambda text: np.array([vector(text)]),
}


class TestCallable:
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_any_function_from_text_to_vector(self, name):
        provider = CallableEmbeddingProvider(FUNCTIONS[name])
        texts = ["a", "bb", "", "dddd" * 5, *(f"{i}" * i for i in range(20))]
        expected = np.stack([unit_vector(text) for text in texts])
        rows = provider.encode_batch(texts)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, expected, atol=1e-6)
        np.testing.assert_allclose(provider.encode("bb"), expected[1], atol=1e-6)

        async def use():
            np.testing.assert_allclose(await provider.aencode("bb"), expected[1], atol=1e-6)
            np.testing.assert_allclose(await provider.aencode_batch(texts), expected, atol=1e-6)
            assert len(await provider.aencode_batch([])) == 0
            with pytest.raises(TypeError):
                await provider.aencode(None)

        asyncio.run(use())
        asyncio.run(use())
        assert provider.encode_batch([]).shape == (0, 3)
        asyncio.run(provider.close())
        np.testing.assert_allclose(provider.encode("bb"), expected[1], atol=1e-6)
        asyncio.run(provider.close())

    async def test_a_blocking_function_never_runs_on_the_loop(self):
        threads = set()

        def embed(text):
            threads.add(threading.current_thread())
            return vector(text)

        await CallableEmbeddingProvider(embed).aencode("x")
        assert threading.current_thread() not in threads

    async def test_an_asynchronous_function_runs_on_the_callers_loop(self):
        loops = []

        async def embed(text):
            loops.append(asyncio.get_running_loop())
            return vector(text)

        provider = CallableEmbeddingProvider(embed)
        await provider.aencode("x")
        assert loops == [asyncio.get_running_loop()]
        await asyncio.to_thread(provider.encode, "x")
        await asyncio.to_thread(provider.encode, "y")
        assert loops[1] is loops[2] is not loops[0]  # one that lasts: clients are bound to theirs
        await provider.close()

    def test_encode_of_an_asynchronous_function_works_inside_a_loop(self):
        async def use():
            return CallableEmbeddingProvider(async_one).encode("bb")

        np.testing.assert_allclose(asyncio.run(use()), unit_vector("bb"), atol=1e-6)

    @pytest.mark.parametrize(
        ("result", "what"),
        [
            ([0.0, 0.0], "not zero"),
            ([float("nan"), 1.0], "finite"),
            ([float("inf"), 1.0], "finite"),
            (None, "embedding"),
            ("vector", "not a str"),
            (1.0, "shape"),
            ([], "shape"),
            ([[1.0, 2.0], [3.0, 4.0]], "shape"),
        ],
        ids=str,
    )
    def test_useless_vectors_are_named(self, result, what):
        def broken(text):
            return result

        with pytest.raises(ValueError, match=f"broken.*{what}.*batch=True"):
            CallableEmbeddingProvider(broken).encode("hello")
        with pytest.raises(ValueError, match="broken"):
            asyncio.run(CallableEmbeddingProvider(broken).aencode("hello"))

    def test_a_wrong_number_of_vectors_and_a_changed_dimension(self):
        with pytest.raises(ValueError, match="1 vectors for 2 texts"):
            CallableEmbeddingProvider(lambda texts: [[1.0, 2.0]]).encode_batch(["a", "b"])
        provider = CallableEmbeddingProvider(lambda text: [1.0] * len(text))
        provider.encode("aa")
        with pytest.raises(ValueError, match="3 dimensions after one of 2"):
            provider.encode("aaa")

    def test_its_own_errors_pass_through(self):
        def broken(text):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            CallableEmbeddingProvider(broken).encode("a")
        with pytest.raises(KeyError, match="mine"):
            asyncio.run(CallableEmbeddingProvider(broken).aencode("a"))

    def test_fingerprints(self):
        module = __name__
        assert CallableEmbeddingProvider(one).fingerprint == f"callable:{module}.one"
        assert CallableEmbeddingProvider(Model()).fingerprint == f"callable:{module}.Model"
        assert CallableEmbeddingProvider(Model().embed).fingerprint == f"callable:{module}.Model.embed"
        assert CallableEmbeddingProvider(functools.partial(one)).fingerprint == f"callable:{module}.one"
        assert CallableEmbeddingProvider(one, fingerprint="v2").fingerprint == "v2"

    def test_batch_can_be_said_outright(self):
        provider = CallableEmbeddingProvider(lambda text: [vector(t) for t in text], batch=True)
        assert provider.encode_batch(["a", "b"]).shape == (2, 3)

    def test_misuse(self):
        with pytest.raises(TypeError, match="func=7"):
            CallableEmbeddingProvider(7)
        with pytest.raises(TypeError, match="must take a text"):
            CallableEmbeddingProvider(lambda: [1.0])
        with pytest.raises(ValueError, match="fingerprint=''"):
            CallableEmbeddingProvider(one, fingerprint="")


class Server(ThreadingHTTPServer):
    """Speaks POST /v1/embeddings: vectors from a hash, errors on demand."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.answer = None
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        status, content = (self.server.answer or self.embed)(body)
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    @staticmethod
    def embed(body):
        data = [
            {"object": "embedding", "index": i, "embedding": raw_vector(text, body.get("dimensions", 16))}
            for i, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}

    def log_message(self, *args):
        pass


def raw_vector(text, dimension):
    return [b - 127.5 for b in hashlib.shake_256(text.encode()).digest(dimension)]


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def openai_provider(server):
    provider = OpenAIEmbeddingProvider(base_url=server.url, api_key="sk-test")
    yield provider
    asyncio.run(provider.close())


def refuse(status, message="no"):
    return lambda body: (status, {"error": {"message": message, "type": "x", "code": None, "param": None}})


class TestOpenAI:
    def test_vectors_in_order_and_of_length_one(self, server, openai_provider):
        rows = openai_provider.encode_batch(["a", "b", "c"])
        for text, row in zip("abc", rows, strict=True):
            raw = np.array(raw_vector(text, 16))
            np.testing.assert_allclose(row, raw / np.linalg.norm(raw), atol=1e-6)
        ((path, authorization, body),) = server.requests
        assert (path, authorization) == ("/v1/embeddings", "Bearer sk-test")
        assert body == {"model": "text-embedding-3-small", "input": ["a", "b", "c"], "encoding_format": "float"}
        assert openai_provider.encode_batch([]).shape[0] == 0
        self_test(openai_provider.encode_batch, "the server")

    def test_dimensions_and_model(self, server):
        provider = OpenAIEmbeddingProvider("text-embedding-3-large", dimensions=5, base_url=server.url, api_key="k")
        assert provider.encode("a").shape == (5,)
        assert server.requests[0][2]["dimensions"] == 5
        assert server.requests[0][2]["model"] == "text-embedding-3-large"
        asyncio.run(provider.close())

    def test_concurrent_tasks_share_requests_on_any_loop(self, server, openai_provider):
        async def use(n):
            return await asyncio.gather(*(openai_provider.aencode(f"{n} {i}") for i in range(20)))

        for n in range(2):
            rows = asyncio.run(use(n))
            expected = openai_provider.encode_batch([f"{n} {i}" for i in range(20)])
            assert np.array_equal(np.stack(rows), expected)
        assert len(server.requests) <= 8

    def test_a_long_list_is_several_requests(self, server, openai_provider):
        assert openai_provider.encode_batch([str(i) for i in range(300)]).shape == (300, 16)
        assert [len(body["input"]) for _, _, body in server.requests] == [128, 128, 44]
        assert len(asyncio.run(openai_provider.aencode_batch([str(i) for i in range(70)]))) == 70

    def test_a_client_of_ones_own(self, server):
        import openai

        with openai.OpenAI(base_url=server.url, api_key="mine", max_retries=0) as client:
            provider = OpenAIEmbeddingProvider(client=client)
            assert provider.loaded
            assert provider.encode("a").shape == (16,)
            asyncio.run(provider.close())
            assert provider.encode("a").shape == (16,)  # not ours to close
        assert server.requests[0][1] == "Bearer mine"
        with pytest.raises(TypeError, match="AsyncOpenAI"):
            OpenAIEmbeddingProvider(client=openai.AsyncOpenAI(api_key="x"))
        with pytest.raises(ValueError, match="not both"):
            OpenAIEmbeddingProvider(client=client, base_url="http://x")

    @pytest.mark.parametrize(
        ("answer", "what"),
        [
            (refuse(401, "Incorrect API key provided: sk-te**st"), r"key was refused \(401\)$"),
            (refuse(403), "PermissionDenied"),
            (refuse(404, "no such model"), "NotFoundError, status 404"),
            (lambda body: (200, {"data": [], "object": "list"}), "(?i)no embedding|0 vectors"),
            (lambda body: (200, {"data": [{"index": 0, "embedding": [0.0, 0.0]}]}), "zero"),
            (lambda body: (200, {"oops": 1}), "OpenAI embeddings"),
        ],
        ids=["401", "403", "404", "empty", "zero", "nonsense"],
    )
    def test_error_responses_are_clear(self, server, openai_provider, answer, what):
        server.answer = answer
        with pytest.raises(EmbeddingUnavailableError, match=what):
            openai_provider.encode("a")
        with pytest.raises(EmbeddingUnavailableError, match=what):
            asyncio.run(openai_provider.aencode("a"))

    def test_a_refused_text_fails_alone(self, server, openai_provider):
        server.answer = lambda body: refuse(400, "too long")(body) if "bad" in body["input"] else Handler.embed(body)

        async def use():
            return await asyncio.gather(
                *(openai_provider.aencode(text) for text in ("a", "bad", "b")), return_exceptions=True
            )

        a, bad, b = asyncio.run(use())
        assert a.shape == b.shape == (16,)
        assert isinstance(bad, ValueError)
        assert "BadRequestError, status 400" in str(bad)
        assert "too long" not in str(bad)  # the service may quote the text
        with pytest.raises(ValueError, match="empty"):
            openai_provider.encode("")

    def test_a_server_that_is_not_there(self):
        import openai

        with Server() as gone:
            url = gone.url
        client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
        with pytest.raises(EmbeddingUnavailableError, match="APIConnectionError"):
            OpenAIEmbeddingProvider(client=client).encode("a")
        client.close()

    def test_no_key(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        provider = create_embedding_provider("openai:text-embedding-3-large")
        assert provider.fingerprint == "openai:text-embedding-3-large:unit"
        with pytest.raises(EmbeddingUnavailableError, match="OPENAI_API_KEY"):
            provider.encode("a")

    def test_fingerprint_tells_servers_apart_and_keeps_secrets(self, monkeypatch):
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        assert OpenAIEmbeddingProvider().fingerprint == "openai:text-embedding-3-small:unit"
        assert OpenAIEmbeddingProvider(dimensions=9).fingerprint == "openai:text-embedding-3-small:9:unit"
        other = OpenAIEmbeddingProvider("m", base_url="https://user:secret@host:8080/v1/", api_key="sk-1")
        assert other.fingerprint == "openai:m:unit:host:8080/v1"

    def test_readable_goes_by_bytes(self):
        provider = OpenAIEmbeddingProvider(max_tokens=10)
        assert provider.readable("a" * 10)
        assert not provider.readable("a" * 11)
        assert not provider.readable("é" * 6)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="model=''"):
            OpenAIEmbeddingProvider("")
        with pytest.raises(ValueError, match="dimensions=0"):
            OpenAIEmbeddingProvider(dimensions=0)


class TestSentenceTransformer:
    def test_agrees_with_onnx_or_says_what_to_install(self):
        provider = SentenceTransformerProvider()
        assert not provider.loaded
        if weights.has_package("sentence_transformers"):
            expected = OnnxEmbeddingProvider(threads=1).encode_batch(["What is Python?", "hello"])
            rows = provider.encode_batch(["What is Python?", "hello"])
            assert (rows * expected).sum(1).min() > 0.999999
        else:
            for call in (provider.check, provider.load, lambda: provider.encode("a")):
                with pytest.raises(EmbeddingUnavailableError, match="pip install sentence-transformers"):
                    call()
            with pytest.raises(EmbeddingUnavailableError, match="pip install sentence-transformers"):
                asyncio.run(provider.aencode("a"))

    def test_names(self):
        assert SentenceTransformerProvider("sentence-transformers/x").fingerprint == "sentence-transformers:x:unit"
        assert SentenceTransformerProvider().readable("short")
        assert not SentenceTransformerProvider().readable("long " * 100)
        with pytest.raises(ValueError, match="model_name=''"):
            SentenceTransformerProvider("")


class TestByName:
    @pytest.fixture(autouse=True)
    def no_default(self):
        yield
        set_default_embedder(None)

    def test_auto_is_onnx_and_one_per_process(self):
        auto = create_embedding_provider()
        assert isinstance(auto, OnnxEmbeddingProvider)
        assert auto is create_embedding_provider("onnx") is create_embedding_provider("auto", "all-MiniLM-L6-v2")
        assert auto is resolve_embedder("auto") is check_available("auto") is check_available()
        auto.load()
        asyncio.run(auto.close())
        assert auto.loaded  # others may be using it

    def test_every_name(self):
        assert isinstance(create_embedding_provider("dummy"), DummyEmbeddingProvider)
        assert isinstance(create_embedding_provider("openai"), OpenAIEmbeddingProvider)
        for name in ("sentence-transformer", "sentence-transformers", "sentence_transformer", "Sentence-Transformer"):
            assert isinstance(create_embedding_provider(name), SentenceTransformerProvider)
        assert create_embedding_provider("openai", "m").fingerprint.startswith("openai:m:")
        assert "mpnet" in create_embedding_provider("sentence-transformer", "all-mpnet-base-v2").fingerprint
        folder = str(weights.locate().parent)
        assert create_embedding_provider("onnx", folder).encode("a").shape == (384,)

    def test_unknown_names_list_the_known(self):
        with pytest.raises(
            ValueError, match=r"'cohere'\. Known embedding providers: auto, onnx, sentence-transformer, openai, dummy"
        ):
            create_embedding_provider("cohere")
        with pytest.raises(ValueError, match="has all-MiniLM-L6-v2"):
            create_embedding_provider("onnx", "bert-base")
        with pytest.raises(ValueError, match="two models"):
            create_embedding_provider("openai:a", "b")
        with pytest.raises(TypeError, match="provider_type=3"):
            create_embedding_provider(3)

    def test_anything_that_names_an_embedder(self):
        provider = DummyEmbeddingProvider()
        assert resolve_embedder(provider) is provider
        assert isinstance(resolve_embedder(one), CallableEmbeddingProvider)
        with pytest.raises(TypeError, match="embedder= must be"):
            resolve_embedder(7)
        with pytest.raises(TypeError, match=r"give an instance, DummyEmbeddingProvider\(\)"):
            resolve_embedder(DummyEmbeddingProvider)

    def test_the_default_is_what_auto_means(self):
        assert get_default_embedder() is None
        provider = DummyEmbeddingProvider()
        set_default_embedder(provider)
        assert get_default_embedder() is provider is create_embedding_provider("auto")
        set_default_embedder(one)
        assert isinstance(create_embedding_provider(), CallableEmbeddingProvider)
        set_default_embedder("auto")
        assert isinstance(create_embedding_provider(), OnnxEmbeddingProvider)

    def test_check_available_of_a_package_that_is_missing(self):
        code = """
import sys
sys.modules["openai"] = None
from semantic_llm_cache.similarity import check_available
check_available(lambda text: [1.0])
check_available("openai")
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "EmbeddingUnavailableError: the openai package is not installed. Run: pip install" in done.stderr
