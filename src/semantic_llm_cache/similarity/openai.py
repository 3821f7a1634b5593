"""`OpenAIEmbeddingProvider`: embeddings from the OpenAI API, or a server that speaks it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, VectorError, check_texts, unit
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.loading import LoadOnce
from semantic_llm_cache.similarity.weights import has_package

__all__ = ["OpenAIEmbeddingProvider"]

_INSTALL = install("openai")
_MAX_REQUEST = 128
"""Most texts in one request; the API takes 2,048, but also limits their total size."""


class OpenAIEmbeddingProvider(EmbeddingProvider):
    """Embeddings from `POST /embeddings`, through the `openai` package (2.x or 3.x).

    Requests use the package's blocking client in the provider's own thread, which serves any
    number of event loops. Prompts leave this machine.

    Args:
        model: name of the embedding model.
        client: an `openai.OpenAI`; None creates one on first use, and another in a forked process. A given
            client is used unchanged in forked processes, so create it after the fork.
        dimensions: ask for vectors of this length; None is the model's own.
        base_url: of another server; None is OPENAI_BASE_URL, else the API's own. Not with `client`.
        api_key: None is OPENAI_API_KEY. Not with `client`.
        max_tokens: the model's input limit. A token is at least one byte, so texts of up to this many bytes
            are known to be `readable`; longer ones are matched only exactly.

    Raises:
        TypeError: an asynchronous client.
        ValueError: naming the argument.

    Example:
        >>> OpenAIEmbeddingProvider("text-embedding-3-small", dimensions=512).fingerprint
        'openai:text-embedding-3-small:512:unit'
    """

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        *,
        client: Any = None,
        dimensions: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        max_tokens: int = 8191,
    ) -> None:
        if not isinstance(model, str) or not model:
            raise ValueError(f"model={model!r} must name an embedding model")
        if dimensions is not None and (isinstance(dimensions, bool) or not dimensions >= 1):
            raise ValueError(f"dimensions={dimensions!r} must be at least 1, or None")
        if client is not None and (base_url is not None or api_key is not None):
            raise ValueError("base_url and api_key belong to the client: give them, or client=, not both")
        if type(client).__name__.startswith("Async"):
            raise TypeError(
                f"client={type(client).__name__} is asynchronous and bound to one event loop: "
                "give an openai.OpenAI, which works from its own thread"
            )
        self._model = model
        self._dimensions = dimensions
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._api_key = api_key
        self._max_tokens = max_tokens
        self._given = client
        self._server_name = _name_of_server(str(client.base_url) if client is not None else self._base_url)
        self._batcher = EncodeBatcher(self._encode_distinct, name="semantic-llm-cache-openai", max_batch=32)
        # A forked process makes another: processes must not share connections. A failure is cheap: no pause after it.
        self._loading = LoadOnce(
            self._make_client,
            lambda error: f"no client for OpenAI embeddings: {error}. Set OPENAI_API_KEY or give api_key=",
            retry_after=0.0,
        )

    @property
    def fingerprint(self) -> str:
        """Return model, requested dimension, normalisation, and the server if it is not the API's own."""
        dimension = f"{self._dimensions}:" if self._dimensions is not None else ""
        return f"openai:{self._model}:{dimension}unit{self._server_name}"

    def check(self) -> None:
        """Look for the package; import nothing. Raises EmbeddingUnavailableError."""
        if not self.loaded and not has_package("openai"):
            raise EmbeddingUnavailableError(f"the openai package is not installed. Run: {_INSTALL}")

    @property
    def loaded(self) -> bool:
        """Return True once there is a client; importing the package takes about a second."""
        return self._given is not None or self._loading.loaded

    def load(self) -> None:
        """Create the client. Sends nothing.

        Raises:
            EmbeddingUnavailableError: no package, or no key.
        """
        self._client()

    def _client(self) -> Any:
        return self._loading.get() if self._given is None else self._given

    def _make_client(self) -> Any:
        self.check()
        import openai

        try:
            return openai.OpenAI(api_key=self._api_key, base_url=self._base_url, timeout=30.0)
        except Exception as error:  # also of its HTTP library, whose messages may quote the address or the key
            raise EmbeddingUnavailableError(
                f"no client for OpenAI embeddings ({type(error).__name__}): set OPENAI_API_KEY or give api_key="
            ) from error

    def readable(self, text: str) -> bool:
        """Return whether `text` is short enough, by its bytes, to go into its vector completely."""
        return len(text) <= self._max_tokens and len(text.encode("utf-8", "replace")) <= self._max_tokens

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32. Blocks.

        Raises:
            EmbeddingUnavailableError: no package, no key, no connection, or an error response.
            ValueError: an empty text, which the API refuses.
        """
        texts = check_texts(texts)
        parts = [texts[i : i + _MAX_REQUEST] for i in range(0, len(texts), _MAX_REQUEST)]
        if not parts:
            return np.empty((0, self._dimensions or 0), dtype=np.float32)
        return np.concatenate([self._encode_distinct(part) for part in parts])

    def _encode_distinct(self, texts: list[str]) -> Vector:
        if not all(texts):
            raise ValueError("OpenAI embeddings take no empty text")
        client = self._client()
        import openai

        options: dict[str, Any] = {} if self._dimensions is None else {"dimensions": self._dimensions}
        try:
            # Floats, not base64: servers other than the API's own often know no other form.
            response = client.embeddings.create(model=self._model, input=texts, encoding_format="float", **options)
            data = sorted(response.data, key=lambda item: item.index)
        except openai.AuthenticationError as error:  # its message quotes part of the key
            raise EmbeddingUnavailableError("OpenAI embeddings: the API key was refused (401)") from error
        except openai.BadRequestError as error:  # concerns the texts, so the batcher tries them one by one
            raise VectorError(f"OpenAI embeddings: the request was refused ({_status(error)})") from error
        except openai.OpenAIError as error:
            raise EmbeddingUnavailableError(f"OpenAI embeddings: {_status(error)}") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise EmbeddingUnavailableError(
                f"OpenAI embeddings: unreadable response ({type(error).__name__})"
            ) from error
        if len(data) != len(texts):
            raise EmbeddingUnavailableError(f"OpenAI embeddings: {len(texts)} texts came back as {len(data)} vectors")
        try:
            return np.stack([unit(item.embedding) for item in data])
        except VectorError as error:
            raise EmbeddingUnavailableError(f"OpenAI embeddings: {error}") from error

    async def aencode(self, text: str | Iterable[str]) -> Vector:
        """Run `encode` in the provider's own thread, in one request with other waiting texts."""
        if not isinstance(text, str):
            return await self.aencode_batch(check_texts(text))
        (text,) = check_texts([text])
        return await self._batcher.submit(text)

    async def aencode_batch(self, texts: Iterable[str]) -> Vector:
        """Run `encode_batch` in the provider's own thread, batched with other waiting texts."""
        texts = check_texts(texts)
        return await self._batcher.submit_many(texts) if texts else self.encode_batch(texts)

    async def close(self) -> None:
        """End the thread, and close the connections of a client made here. May be used again."""
        self._batcher.close()
        client = self._loading.drop()
        if client is not None:
            client.close()


def _status(error: Exception) -> str:
    """Return the parts of an error that are safe to show: its message may quote the texts."""
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    parts = [type(error).__name__]
    if isinstance(status, int):
        parts.append(f"status {status}")
    if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code):  # such as context_length_exceeded
        parts.append(code)
    return ", ".join(parts)


def _name_of_server(url: str | None) -> str:
    """Return the server's part of the fingerprint: host, port and path, nothing that may be a secret."""
    if url is None:
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    # An @ in the path: a password with a slash in it, perhaps, which must be quoted.
    if host is None or parts.scheme not in ("http", "https") or "@" in parts.path + parts.query + parts.fragment:
        # Not quoted, nor is the cause: it may hold a key.
        raise ValueError("base_url (or OPENAI_BASE_URL) must be a URL such as https://host:8000/v1") from None
    if host == "api.openai.com":
        return ""
    path = "/".join(_harmless(segment) for segment in parts.path.rstrip("/").split("/"))
    return f":{host}{f':{port}' if port else ''}{path}"


def _harmless(segment: str) -> str:
    """Return a part of a path, or its hash where it looks like a key: some gateways have one in the path."""
    if len(segment) < 16 or not any(c.isdigit() for c in segment):
        return segment
    return hashlib.blake2b(segment.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
