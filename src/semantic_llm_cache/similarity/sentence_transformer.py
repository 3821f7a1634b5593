"""`SentenceTransformerProvider`: any model of the sentence-transformers library."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import weights
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.folders import content_of, refuse_code
from semantic_llm_cache.similarity.forking import reset_in_child
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.selftest import self_test
from semantic_llm_cache.similarity.unseen import Unseen, default_unseen

__all__ = ["SentenceTransformerProvider"]

_INSTALL = install("sentence-transformers")


class SentenceTransformerProvider(EmbeddingProvider):
    """Embeddings by a model of sentence-transformers, loaded on first use.

    Code that comes with a model is never run: a model that needs it is refused.

    Works from any number of threads and event loops, and in forked processes, each of which loads its own model. A
    process forked after torch was imported computes with one thread, since torch's own threads do not survive a fork.

    Args:
        model_name: name or folder of the model. A model is told from another one by its name, one in a folder by its
            content.
        device: as for `SentenceTransformer`: "cpu", "cuda", "mps"; None lets the library choose.
        allow_download: let the library fetch a model that is not on this machine. By default it must be
            there: a cache should not cause unexpected network traffic.

    Raises:
        ValueError: model_name is empty.

    Example:
        >>> SentenceTransformerProvider("all-mpnet-base-v2").fingerprint
        'sentence-transformers:all-mpnet-base-v2:unit'
    """

    def __init__(
        self,
        model_name: str = weights.MODEL_NAME,
        device: str | None = None,
        *,
        allow_download: bool = False,
    ) -> None:
        if not isinstance(model_name, str) or not model_name:
            raise ValueError(f"model_name={model_name!r} must name a model of sentence-transformers")
        self._name = model_name.removeprefix("sentence-transformers/")
        self._device = device
        self._allow_download = allow_download
        self._batcher = EncodeBatcher(
            self._encode_distinct, name="semantic-llm-cache-sentence-transformer", exit_grace=5.0
        )
        self._loading = LoadOnce(
            self._open_tested,
            lambda error: f"the model {self._name!r} of sentence-transformers cannot be loaded: {error}",
            native=True,
        )
        self._content: str | None = None
        self._forked = False
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Remember that torch's threads are gone; the model resets itself."""
        self._forked = "torch" in sys.modules

    @property
    def _model(self) -> Any:
        return self._loading.value

    @property
    def fingerprint(self) -> str:
        """Return library, model and normalisation. Loads nothing; of a folder, some megabytes are read once."""
        if self._content is None:
            self._content = f":{content_of(Path(self._name))}" if os.path.isdir(self._name) else ""
        name = os.path.basename(os.path.normpath(self._name)) if self._content else self._name
        return f"sentence-transformers:{name}{self._content}:unit"

    @property
    def dimension(self) -> int:
        """Return the length of the vectors. Loads the model. Raises EmbeddingUnavailableError as `load` does."""
        return _dimension_of(self._loading.get())

    @property
    def loaded(self) -> bool:
        """Return True once the model is in memory."""
        return self._loading.loaded

    def check(self) -> None:
        """Look for the package; import nothing. Raises EmbeddingUnavailableError."""
        if not self.loaded and not weights.has_package("sentence_transformers"):
            raise EmbeddingUnavailableError(f"sentence-transformers is not installed. Run: {_INSTALL}")

    def load(self) -> None:
        """Import the library, load the model and test it. Blocks for seconds.

        Raises:
            EmbeddingUnavailableError: library or model are missing, or the model fails its self-test.
        """
        self._loading.get()

    def _open_tested(self) -> Any:
        self.check()
        model = self._open()
        self_test(lambda texts: _embed(model, texts), f"the embedding model {self._name}")
        return model

    def _open(self) -> Any:
        from sentence_transformers import SentenceTransformer

        if self._forked:
            import torch

            # A parallel run would wait for ever for threads that only the parent has.
            torch.set_num_threads(1)
        name = self._place()
        refuse_code(Path(name))
        with contextlib.nullcontext() if self._allow_download else _no_progress():
            return SentenceTransformer(
                name, device=self._device, local_files_only=not self._allow_download, trust_remote_code=False
            )

    def _place(self) -> str:
        """Return the model's folder on this machine; with `allow_download`, its name if there is none.

        The library would ask its hub about a name, whatever `local_files_only` says.
        """
        name = self._name
        if os.path.exists(name):
            return name
        if name == weights.MODEL_NAME:
            with contextlib.suppress(EmbeddingUnavailableError):  # the hub's cache may have it in another form
                return str(weights.locate().parent)
        found = _in_hub_cache(name)
        if found is not None or self._allow_download:
            return found or name
        raise EmbeddingUnavailableError(
            f"the model {name!r} of sentence-transformers is not on this machine: give the path of its folder, or let "
            "the library fetch it once with allow_download=True"
        )

    def readable(self, text: str) -> bool:
        """Return whether all of `text` goes into its vector.

        Before the model is loaded its limit is not known: then only ASCII of up to 126 characters counts as
        readable, which fits most models. (The cache loads the model before it asks.)
        """
        model = self._model
        if model is None:
            return len(text) <= 126 and text.isascii()
        limit = model.max_seq_length
        if limit is None or (text.isascii() and len(text) <= int(limit) - 2):  # no token is shorter than a character
            return True
        if len(text) > 16 * limit:
            return False
        ids = model.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return len(ids) <= int(limit)

    def unseen(self, text: str) -> Unseen:
        """Return what the model may drop of `text`, and the words that its tokenizer is known not to know."""
        model = self._model
        tokenizer: Any = getattr(model, "tokenizer", None)
        if (text.isascii() and len(text) <= 100) or not getattr(tokenizer, "is_fast", False):
            return default_unseen(text)
        read = tokenizer(text, truncation=False, verbose=False, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
        return default_unseen(text, [span for number, span in pairs if number == tokenizer.unk_token_id])

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32. Blocks.

        Raises:
            EmbeddingUnavailableError: as for `load`.
        """
        texts = check_texts(texts)
        return self._encode_distinct(texts) if texts else np.empty((0, self.dimension), dtype=np.float32)

    def _encode_distinct(self, texts: list[str]) -> Vector:
        return _embed(self._loading.get(), texts)

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
            return await asyncio.to_thread(self.encode_batch, texts)
        return await self._batcher.submit_many(texts)

    async def close(self) -> None:
        """Release the model, unless the process shares it. May be used again."""
        if not self.shared:
            self._batcher.close()
            self._loading.drop()


def _embed(model: Any, texts: list[str]) -> Vector:
    vectors = model.encode(
        texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False, batch_size=32
    )
    return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)


def _dimension_of(model: Any) -> int:
    name = "get_embedding_dimension"  # its name since version 5
    function = getattr(model, name, None) or model.get_sentence_embedding_dimension
    return int(function() or _embed(model, ["a"]).shape[1])


def _in_hub_cache(name: str) -> str | None:
    """Return the folder of a model in the hub's cache on this machine, or None."""
    from huggingface_hub import snapshot_download

    for full in (name,) if "/" in name else (f"sentence-transformers/{name}", name):
        with contextlib.suppress(OSError, ValueError):  # not there; not a name that the hub can have
            return str(snapshot_download(full, local_files_only=True))
    return None


@contextlib.contextmanager
def _no_progress() -> Iterator[None]:
    """Keep the library from drawing progress bars on the program's standard error."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
