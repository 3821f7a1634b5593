"""`SentenceTransformerProvider`: any model of the sentence-transformers library."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import weights
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.selftest import self_test
from semantic_llm_cache.similarity.unseen import Unseen, default_unseen

__all__ = ["SentenceTransformerProvider"]

_INSTALL = install("sentence-transformers")


class SentenceTransformerProvider(EmbeddingProvider):
    """Embeddings by a model of sentence-transformers, loaded on first use.

    Args:
        model_name: name or folder of the model.
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

    @property
    def _model(self) -> Any:
        return self._loading.value

    @property
    def fingerprint(self) -> str:
        """Return library, model and normalisation."""
        return f"sentence-transformers:{self._name}:unit"

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

        name = self._name
        if name == weights.MODEL_NAME:
            with contextlib.suppress(EmbeddingUnavailableError):  # the library may find it elsewhere
                name = str(weights.locate().parent)
        return SentenceTransformer(name, device=self._device, local_files_only=not self._allow_download)

    def readable(self, text: str) -> bool:
        """Return whether all of `text` goes into its vector.

        Before the model is loaded its limit is not known: then only ASCII of up to 126 characters counts as
        readable, which fits any model.
        """
        if len(text) <= 126 and text.isascii():
            return True
        model = self._model
        if model is None:
            return False
        limit = model.max_seq_length
        if limit is None:
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

    def encode_batch(self, texts: Sequence[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32. Blocks.

        Raises:
            EmbeddingUnavailableError: as for `load`.
        """
        return self._encode_distinct(check_texts(texts))

    def _encode_distinct(self, texts: list[str]) -> Vector:
        return _embed(self._loading.get(), texts)

    async def aencode(self, text: str) -> Vector:
        """Run `encode` in the provider's own thread, batched with other waiting texts."""
        (text,) = check_texts([text])
        return await self._batcher.submit(text)

    async def aencode_batch(self, texts: Sequence[str]) -> Vector:
        """Run `encode_batch` in the provider's own thread, batched with other waiting texts."""
        return await self._batcher.submit_many(check_texts(texts))

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
