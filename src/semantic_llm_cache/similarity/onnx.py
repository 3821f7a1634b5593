"""`OnnxEmbeddingProvider`: all-MiniLM-L6-v2 in this process, on onnxruntime."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import sessions, weights
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.forking import reset_in_child
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.padding import plan_runs
from semantic_llm_cache.similarity.parallel import Parallel
from semantic_llm_cache.similarity.selftest import precision_test, self_test
from semantic_llm_cache.similarity.sessions import import_onnxruntime
from semantic_llm_cache.similarity.unseen import Unseen
from semantic_llm_cache.similarity.wordpiece import (
    CLS,
    MAX_PIECES,
    SEP,
    WordPieces,
    surely_plain,
    surely_readable,
)

__all__ = [
    "PRECISIONS",
    "PRECISION_ENV",
    "THREADS_ENV",
    "OnnxEmbeddingProvider",
    "check_precision",
    "import_onnxruntime",
]

THREADS_ENV = "SEMANTIC_LLM_CACHE_THREADS"
PRECISION_ENV = "SEMANTIC_LLM_CACHE_PRECISION"
PRECISIONS = ("fp32", "int8")
_DIMENSION = 384
_TOKENS_PER_RUN = 2048
"""Limits the memory (about 60 MB) and the duration of one run."""
_PER_RUN = {"fp32": 32, "int8": 8}
"""The fixed cost of a run, in tokens: measured with 2 to 32 questions at a time, on two cores."""
_LEAST_TOKENS = 24
"""Tokens for each thread, without which handing a part of a batch to another thread costs more than it saves."""
_EXIT_GRACE = 5.0
"""Longest wait at interpreter exit, in seconds; a run that is stopped ends within milliseconds."""

_log = logging.getLogger("semantic_llm_cache")


class OnnxEmbeddingProvider(EmbeddingProvider):
    """Sentence embeddings of all-MiniLM-L6-v2, 384 dimensions, mean of tokens, length 1.

    The model is loaded on first use or by `load()`, and needs about 100 MB. Vectors agree with those of
    sentence-transformers to a cosine of 0.9999995. A text encoded alone and in a batch agrees to 1e-5.

    With ``precision="int8"`` the model computes in 8 bits, more than twice as fast on short texts. Of 5,000 questions
    the cosine to the fp32 vector is .9997 on average and .999 at worst; a single word can be at .9965. A text alone
    and in a batch agrees to .999999. The 8-bit weights are made from the published ones at the first load (a second,
    once) and kept in a file of 24 MB beside them or in the user's cache folder. Where 8 bits do not work (an older
    onnxruntime, or a processor on which vectors are off by more than a cosine of .999), a warning is logged and fp32
    is used. The precisions have different fingerprints, so their vectors are never compared.

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
        threads: None is SEMANTIC_LLM_CACHE_THREADS, else the cores, 2 at most. In fp32 they share each step of a
            run. In 8 bits a step is too short to share: each thread takes a part of a batch, and a single text
            uses one.
        max_batch: most texts in one run.
        max_queue: most texts that wait in `aencode`; beyond, EmbeddingUnavailableError.
        device: "cpu", or "cuda" with the package onnxruntime-gpu.
        precision: "fp32" or "int8" (on the CPU only); None is SEMANTIC_LLM_CACHE_PRECISION, else "fp32".

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
        precision: str | None = None,
    ) -> None:
        if device not in ("cpu", "cuda"):
            raise ValueError(f"device={device!r} must be 'cpu' or 'cuda'")
        self._precision = check_precision(precision, device)
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
        self._parallel = Parallel(self._threads, "semantic-llm-cache-model")
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
        self._fallen_back = False
        self._tokens: WordPieces | None = None
        self._running: set[Any] = set()

    @property
    def fingerprint(self) -> str:
        """Return model, dimension, normalisation, the start of the weights' sha256, and "int8". Loads nothing.

        It names the precision that was asked for until the model is loaded, then the one in use.
        """
        name = f"onnx:{weights.MODEL_NAME}:{_DIMENSION}:unit:{weights.WEIGHTS_SHA256[:8]}"
        return f"{name}:int8" if self.precision == "int8" else name

    @property
    def precision(self) -> str:
        """Return "fp32" or "int8": what is in use, or before the model is loaded what was asked for."""
        return "fp32" if self._fallen_back else self._precision

    @property
    def fell_back(self) -> bool:
        """Return True where 8 bits were asked for and, since the model is loaded, fp32 is used instead."""
        return self._fallen_back

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
        session = self._open_int8() if self._precision == "int8" else None
        if session is None:
            with self._native(None):
                session = self._open()
        self_test(lambda texts: self._embed(session, texts), f"the embedding model {weights.MODEL_NAME}")
        return session

    def _open(self) -> Any:
        path = weights.locate(self._model_path)
        weights.verify(path)
        self._tokenizer()
        return sessions.open_fp32(path, self._threads, self._device)

    def _open_int8(self) -> Any:
        """Return the 8-bit model, or None when it does not work here and fp32 is to be used."""
        path = weights.locate(self._model_path)
        weights.verify(path)
        self._tokenizer()
        try:
            with self._native(None):
                session = sessions.open_int8(path)
            problem = precision_test(lambda texts: self._embed(session, texts), sessions.stored_vectors())
        except Exception as error:
            if self._exiting:
                raise
            problem = f"{type(error).__name__}: {error}"
        self._fallen_back = bool(problem)
        if not problem:
            return session
        _log.warning("the 8-bit embedding model is not used on this machine, fp32 is: %s", problem)
        return None

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
        if len(rows) == 1:
            vector: Vector = self._run(session, rows)
            return vector
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        lengths = [len(rows[i]) for i in order]
        total = sum(lengths)
        shares = min(self._threads, total // _LEAST_TOKENS) if self.precision == "int8" else 1
        runs = plan_runs(
            lengths,
            per_run=_PER_RUN[self.precision],
            most_rows=self._max_batch,
            most_tokens=min(_TOKENS_PER_RUN, -(-total // max(shares, 1))),
        )
        pieces = [order[start:end] for start, end in reversed(runs)]  # the longest first: they are shared out evenly
        vectors = np.empty((len(rows), _DIMENSION), dtype=np.float32)

        def run(piece: list[int]) -> None:
            vectors[piece] = self._run(session, [rows[i] for i in piece])

        if shares > 1:
            self._parallel.map(run, pieces)
        else:
            for piece in pieces:
                run(piece)
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
        self._parallel.close()
        with self._loading.lock:
            self._loading.drop()
            self._tokens = None


def check_precision(precision: str | None, device: str = "cpu") -> str:
    """Return the precision, from the environment if it is None. Raises ValueError."""
    source, given = "precision", precision
    if precision is None:
        source, given = PRECISION_ENV, os.environ.get(PRECISION_ENV) or "fp32"
    if given not in PRECISIONS:
        raise ValueError(f"{source}={given!r} must be 'fp32' or 'int8'")
    if given == "int8" and device != "cpu":
        raise ValueError(f"{source}='int8' works on the CPU only: use fp32 with device={device!r}")
    return given


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
