"""`OnnxEmbeddingProvider`: all-MiniLM-L6-v2 in this process, on onnxruntime."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import weights
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.forking import reset_in_child
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.selftest import self_test
from semantic_llm_cache.similarity.unseen import Unseen
from semantic_llm_cache.similarity.wordpiece import (
    CLS,
    MAX_PIECES,
    SEP,
    WordPieces,
    surely_plain,
    surely_readable,
)

__all__ = ["THREADS_ENV", "OnnxEmbeddingProvider", "import_onnxruntime"]

THREADS_ENV = "SEMANTIC_LLM_CACHE_THREADS"
_TELEMETRY_ENV = "ORT_DISABLE_TELEMETRY"
_DIMENSION = 384
_GRAPH = Path(__file__).parent / "data" / f"{weights.MODEL_NAME}.onnx"
_NAME_IN_GRAPH = b"." + b"/" * 110 + b"model.safetensors"
"""Placeholder for the weights file in the graph; replaced by a path of exactly this length."""
_TOKENS_PER_RUN = 2048
"""Limits the memory (about 60 MB) and the duration of one run."""
_EXIT_GRACE = 5.0
"""Longest wait at interpreter exit, in seconds; a run that is stopped ends within milliseconds."""


class OnnxEmbeddingProvider(EmbeddingProvider):
    """Sentence embeddings of all-MiniLM-L6-v2, fp32, 384 dimensions, mean of tokens, length 1.

    The model is loaded on first use or by `load()`, and needs about 100 MB. Vectors agree with those of
    sentence-transformers to a cosine of 0.9999995. A text encoded alone and in a batch agrees to 1e-5.

    The model reads 256 word pieces, about 1,000 characters of English. A longer text still gets a vector,
    the mean of the vectors of its parts weighted by their pieces; but such a vector hardly shows what
    differs in one part, so `readable` is False for it and it is matched only exactly. Any two signs that the
    model does not know (emoji, rare scripts, words over 100 characters) look alike to it, and it does not see
    characters that its tokenizer drops: `unseen` returns them, and near matching requires that they
    be the same.

    Works from any number of threads and event loops, and in forked processes, each of which loads its own
    model (a host program that imports onnxruntime itself before it forks should set ORT_DISABLE_TELEMETRY=1:
    the reporting thread of onnxruntime 1.29 and later keeps forked children from exiting).

    Args:
        model_path: folder or safetensors file of the weights; None looks in the environment variable
            SEMANTIC_LLM_CACHE_MODEL, the weights package (`semantic-llm-cache model install`), and the
            hub's local cache. Nothing is ever downloaded.
        threads: of one run of the model; None is SEMANTIC_LLM_CACHE_THREADS, else the cores, 2 at most.
        max_batch: most texts in one run.
        max_queue: most texts that wait in `aencode`; beyond, EmbeddingUnavailableError.
        device: "cpu", or "cuda" with the package onnxruntime-gpu.

    Raises:
        ValueError: an invalid argument, which the message names. Only `check` looks for files and packages.

    Example:
        >>> provider = OnnxEmbeddingProvider()
        >>> a, b = provider.encode_batch(["What is Python?", "What's Python?"])
        >>> round(float(a @ b), 3)
        0.985
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        max_batch: int = 32,
        max_queue: int = 1024,
        device: str = "cpu",
    ) -> None:
        if device not in ("cpu", "cuda"):
            raise ValueError(f"device={device!r} must be 'cpu' or 'cuda'")
        self._threads = _check_threads(threads)
        self._model_path = model_path
        self._device = device
        self._batcher = EncodeBatcher(
            self._encode_distinct,
            name="semantic-llm-cache-embedder",
            max_batch=max_batch,
            max_queue=max_queue,
            on_exit=self._interrupt,
            exit_grace=_EXIT_GRACE,
        )
        self._max_batch = max_batch
        self._exiting = False
        self._loading = LoadOnce(
            self._open_tested,
            lambda error: f"the embedding model cannot be loaded: {type(error).__name__}: {error}",
            native=True,
        )
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's tokenizer and runs; the model resets itself."""
        self._tokens: WordPieces | None = None
        self._running: set[Any] = set()

    @property
    def fingerprint(self) -> str:
        """Return model, dimension, normalisation and the start of the weights' sha256. Loads nothing."""
        return f"onnx:{weights.MODEL_NAME}:{_DIMENSION}:unit:{weights.WEIGHTS_SHA256[:8]}"

    @property
    def dimension(self) -> int:
        """Return the length of the vectors."""
        return _DIMENSION

    @property
    def loaded(self) -> bool:
        """Return True once the model is in memory."""
        return self._loading.loaded

    def check(self) -> None:
        """Look for the packages and the weights; load nothing. Raises EmbeddingUnavailableError."""
        if not self.loaded:
            missing = [name for name in ("onnxruntime", "tokenizers") if not weights.has_package(name)]
            if missing:
                raise EmbeddingUnavailableError(f"{' and '.join(missing)} not installed. {weights.REMEDY}")
            weights.locate(self._model_path)

    def load(self) -> None:
        """Load the model and test it. Blocks for about 0.3 s. After a failure, the next try waits 5 s.

        Raises:
            EmbeddingUnavailableError: packages or weights are missing, the weights are the wrong ones, or the
                model fails its self-test.
        """
        self._loading.get()

    def _open_tested(self) -> Any:
        self.check()
        with self._native(None):
            session = self._open()
        self_test(lambda texts: self._embed(session, texts), f"the embedding model {weights.MODEL_NAME}")
        return session

    def _open(self) -> Any:
        onnxruntime = import_onnxruntime()
        # The first version with an option for the weights' folder of a graph in memory.
        if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 21):
            raise EmbeddingUnavailableError(
                f"onnxruntime {onnxruntime.__version__} is too old, 1.21 is needed: pip install --upgrade onnxruntime"
            )
        path = weights.locate(self._model_path)
        weights.verify(path)
        self._tokenizer()
        target = Path(os.path.realpath(path))  # onnxruntime refuses links, and the hub's cache consists of links
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs would cost the host program a core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(target.parent))
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device == "cuda":
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise EmbeddingUnavailableError("device='cuda' needs the package onnxruntime-gpu and a GPU")
            # TF32 keeps 10 bits: the same text would differ by 1e-3.
            providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
        return onnxruntime.InferenceSession(_graph(target.name), options, providers=providers)

    def _tokenizer(self) -> WordPieces:
        tokens = self._tokens
        if tokens is None:
            with self._loading.lock:
                tokens = self._tokens
                if tokens is None:
                    self.check()
                    tokens = self._tokens = WordPieces(weights.locate(self._model_path).parent)
        return tokens

    def readable(self, text: str) -> bool:
        """Return whether all of `text` goes into its vector: it fits, and is text. See `unseen` for unknown signs.

        Takes about a microsecond for ASCII of up to 254 characters, else about 0.1 ms, and the first time
        30 ms more unless the model is loaded.
        """
        sure = surely_readable(text)
        return self._tokenizer().readable(text) if sure is None else sure

    def unseen(self, text: str) -> Unseen:
        """Return what the tokenizer drops, folds or does not know in `text`; see `EmbeddingProvider.unseen`.

        Takes under a microsecond for a line of ASCII, else about 50, and the first time 30 ms more unless the model
        is loaded.
        """
        plain = surely_plain(text)
        return self._tokenizer().unseen(text) if plain is None else plain

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), 384), float32. Blocks.

        Runs in the calling thread; any number of threads may.

        Raises:
            TypeError: `texts` is a single string, or holds something else than strings.
            EmbeddingUnavailableError: as for `load`.
        """
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, _DIMENSION), dtype=np.float32)
        return self._encode_distinct(texts)

    def _encode_distinct(self, texts: list[str]) -> Vector:
        return self._embed(self._loading.get(), texts)

    async def aencode(self, text: str | Iterable[str]) -> Vector:
        """Run `encode` in the provider's own thread, batched with other waiting texts."""
        if not isinstance(text, str):
            return await self.aencode_batch(check_texts(text))
        (text,) = check_texts([text])
        return await self._batcher.submit(text)

    async def aencode_batch(self, texts: Iterable[str]) -> Vector:
        """Run `encode_batch` in the provider's own thread, batched with other waiting texts."""
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, _DIMENSION), dtype=np.float32)
        return await self._batcher.submit_many(texts)

    def _embed(self, session: Any, texts: list[str]) -> Vector:
        tokens = self._tokenizer()
        owners: list[int] = []  # row -> text; a long text has several rows
        rows: list[list[int]] = []
        for i, text in enumerate(texts):
            ids = tokens.pieces(text)
            for start in range(0, max(len(ids), 1), MAX_PIECES):
                owners.append(i)
                rows.append([CLS, *ids[start : start + MAX_PIECES], SEP])
        vectors = self._run_sorted(session, rows)
        if len(rows) == len(texts):
            return vectors
        sums = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
        sizes = np.array([len(row) - 2 for row in rows], dtype=np.float32)
        sizes[sizes == 0] = 1
        np.add.at(sums, owners, vectors * sizes[:, None])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        normalised: Vector = sums / norms
        return normalised

    def _run_sorted(self, session: Any, rows: list[list[int]]) -> Vector:
        # Rows of similar length share a run, so that there is little padding.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        vectors = np.empty((len(rows), _DIMENSION), dtype=np.float32)
        start = 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and stop - start < self._max_batch
                and len(rows[order[stop]]) * (stop + 1 - start) <= _TOKENS_PER_RUN
            ):
                stop += 1
            part = order[start:stop]
            vectors[part] = self._run(session, [rows[i] for i in part])
            start = stop
        return vectors

    def _run(self, session: Any, rows: list[list[int]]) -> Any:
        import onnxruntime

        ids = np.zeros((len(rows), len(rows[-1])), dtype=np.int64)  # rows come sorted by length
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        options = onnxruntime.RunOptions()
        with self._native(options):
            return session.run(["embedding"], {"input_ids": ids, "attention_mask": mask}, options)[0]

    @contextmanager
    def _native(self, options: Any) -> Iterator[None]:
        """Mark native code as running in this thread, so that interpreter exit can stop it and wait."""
        run = (threading.get_ident(), options)
        self._running.add(run)
        try:
            if self._exiting:
                raise EmbeddingUnavailableError("no more embeddings: the interpreter is shutting down")
            yield
        except Exception as error:
            if self._exiting and not isinstance(error, EmbeddingUnavailableError):
                raise EmbeddingUnavailableError("encoding was cut short by interpreter exit") from error
            raise
        finally:
            self._running.discard(run)

    def _interrupt(self) -> None:
        # A daemon thread that returns from native code into a dead interpreter aborts the process.
        self._exiting = True
        deadline = time.monotonic() + _EXIT_GRACE
        for _, options in list(self._running):
            if options is not None:
                options.terminate = True
        while self._running and time.monotonic() < deadline:
            time.sleep(0.001)

    async def close(self) -> None:
        """Release the model and its threads, unless the process shares them. May be used again."""
        if self.shared:
            return
        self._batcher.close()
        with self._loading.lock:
            self._loading.drop()
            self._tokens = None


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off.

    From 1.29 on it reports sessions to its maker unless this variable is set when it is first imported;
    the thread that does so also keeps forked children from exiting. Set the variable to 0 to allow it. If the
    host program has already imported it, as much as possible is turned off.
    """
    if "onnxruntime" in sys.modules:
        import onnxruntime

        if not os.environ.get(_TELEMETRY_ENV):
            onnxruntime.disable_telemetry_events()
        return onnxruntime
    given = os.environ.get(_TELEMETRY_ENV)
    os.environ[_TELEMETRY_ENV] = given or "1"
    try:
        import onnxruntime
    finally:
        if given is None:
            del os.environ[_TELEMETRY_ENV]
    return onnxruntime


def _graph(weights_name: str) -> bytes:
    """Return the graph, made to read its weights from the file of that name."""
    name = os.fsencode(weights_name)
    lead = len(_NAME_IN_GRAPH) - len(name) - 1
    if lead < 1:
        raise EmbeddingUnavailableError(f"the name of the weights file is too long: {weights_name!r}")
    # Runs of slashes count as one, so the padded path is the same file.
    return _GRAPH.read_bytes().replace(_NAME_IN_GRAPH, b"." + b"/" * lead + name)


def _check_threads(threads: int | None) -> int:
    source = "threads"
    if threads is None and (given := os.environ.get(THREADS_ENV)):
        source = THREADS_ENV
        threads = int(given) if given.isdecimal() else 0
        shown: object = given
    else:
        shown = threads
    if threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(2, cores)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"{source}={shown!r} must be a whole number of at least 1")
    return threads
