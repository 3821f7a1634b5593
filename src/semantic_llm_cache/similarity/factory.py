"""Embedders by name, and the process-wide default."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from semantic_llm_cache.arguments import unknown
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.redaction import looks_like_url, origin_of
from semantic_llm_cache.similarity.base import Embedder, EmbeddingProvider
from semantic_llm_cache.similarity.forking import reset_in_child

__all__ = [
    "PROVIDER_NAMES",
    "check_available",
    "create_embedding_provider",
    "get_default_embedder",
    "resolve_embedder",
    "set_default_embedder",
]

PROVIDER_NAMES = ("auto", "onnx", "sentence-transformer", "openai", "dummy")


class _Process:
    """State that the whole process shares."""

    def __init__(self) -> None:
        self.default: EmbeddingProvider | None = None
        self.models: dict[tuple[str, ...], EmbeddingProvider] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's lock."""
        self.lock = threading.Lock()

    def shared(self, key: tuple[str, ...], make: Callable[[], EmbeddingProvider]) -> EmbeddingProvider:
        with self.lock:
            provider = self.models.get(key)
            if provider is None:
                provider = self.models[key] = make()
                provider.shared = True
            return provider


_process = _Process()


def create_embedding_provider(provider_type: str = "auto", model_name: str | None = None) -> EmbeddingProvider:
    """Return the embedder of that name. Nothing is loaded yet.

    Local models are shared in the process: the same name and model return the same object, and closing it
    does nothing.

    Args:
        provider_type: "auto": what `set_default_embedder` named, else "onnx" if its packages and weights
            are here, else "sentence-transformer" if that library is; "onnx": all-MiniLM-L6-v2 on
            onnxruntime, also with the precision as in "onnx:int8" or "onnx:fp32" (see `OnnxEmbeddingProvider`);
            "sentence-transformer"; "openai", also with the model as in
            "openai:text-embedding-3-small"; "dummy": hashes, for tests only.
        model_name: the model; for "onnx" also a path of its weights.

    Raises:
        ValueError: an unknown name, or a model that this provider does not have.
        EmbeddingUnavailableError: "auto", and none can be used here; the message names the two commands
            that fix it.

    Example:
        >>> create_embedding_provider("dummy").encode("hello").shape
        (384,)
    """
    from semantic_llm_cache.similarity import weights

    if not isinstance(provider_type, str):
        raise TypeError(f"provider_type={provider_type!r} must be a name: {', '.join(PROVIDER_NAMES)}")
    kind, _, model = provider_type.partition(":")
    if model and model_name and model != model_name:
        raise ValueError(f"provider_type={provider_type!r} and model_name={model_name!r} name two models")
    model_name = model or model_name
    kind = kind.strip().lower().replace("_", "-")
    _refuse_bare_precision(kind, model_name)
    if kind == "auto":
        return _auto(model_name)
    if kind == "onnx":
        return _onnx(model_name)
    if kind in ("sentence-transformer", "sentence-transformers"):
        return _sentence_transformer(model_name or weights.MODEL_NAME)
    if kind == "openai":
        from semantic_llm_cache.similarity.openai import OpenAIEmbeddingProvider

        return OpenAIEmbeddingProvider(model_name) if model_name else OpenAIEmbeddingProvider()
    if kind == "dummy":
        from semantic_llm_cache.similarity.dummy import DummyEmbeddingProvider

        return DummyEmbeddingProvider()
    shown = origin_of(provider_type) if looks_like_url(provider_type) else kind
    raise ValueError(unknown("embedding provider", shown, PROVIDER_NAMES))


def _refuse_bare_precision(kind: str, model_name: str | None) -> None:
    """Raise ValueError for "int8" and "auto:int8", which name no provider that has precisions."""
    from semantic_llm_cache.similarity.onnx import PRECISION_ENV, PRECISIONS

    given = kind if kind in PRECISIONS else model_name if kind == "auto" and model_name in PRECISIONS else None
    if given is not None:
        raise ValueError(
            f"the precision {given!r} belongs to the provider 'onnx': use 'onnx:{given}', or keep 'auto' and set "
            f"{PRECISION_ENV}={given}"
        )


def _auto(model_name: str | None) -> EmbeddingProvider:
    from semantic_llm_cache.similarity import weights

    if model_name is None and _process.default is not None:
        return _process.default
    if not model_name or _is_minilm(model_name):
        onnx = _onnx(None)
        try:
            onnx.check()
        except EmbeddingUnavailableError:
            if not weights.has_package("sentence_transformers"):
                raise
        else:
            return onnx
    provider = _sentence_transformer(model_name or weights.MODEL_NAME)
    provider.check()
    return provider


def _is_minilm(model_name: str) -> bool:
    from semantic_llm_cache.similarity import weights

    return model_name.removeprefix("sentence-transformers/") == weights.MODEL_NAME


def _onnx(model_name: str | None) -> EmbeddingProvider:
    from semantic_llm_cache.similarity import weights
    from semantic_llm_cache.similarity.onnx import PRECISIONS, OnnxEmbeddingProvider, check_precision

    precision, path = None, None
    if model_name in PRECISIONS:
        precision = model_name
    elif model_name is not None and not _is_minilm(model_name):
        path = model_name
        if not os.path.exists(path):
            raise ValueError(
                f"model_name={model_name!r}: the provider 'onnx' has {weights.MODEL_NAME}, "
                f"also by precision ({' or '.join(PRECISIONS)}), or takes the path of a folder with its weights"
            )
    precision = check_precision(precision)
    # The environment may change, for instance in tests: another setting is another model.
    key = ("onnx", path or "", os.environ.get(weights.MODEL_ENV, ""), precision)
    return _process.shared(key, lambda: OnnxEmbeddingProvider(path, precision=precision))


def _sentence_transformer(model_name: str) -> EmbeddingProvider:
    from semantic_llm_cache.similarity.sentence_transformer import SentenceTransformerProvider

    key = ("sentence-transformer", model_name.removeprefix("sentence-transformers/"))
    return _process.shared(key, lambda: SentenceTransformerProvider(model_name))


def resolve_embedder(embedder: Embedder) -> EmbeddingProvider:
    """Return a provider, given a provider, a name, or a function from text to vector.

    Raises:
        TypeError: none of these.
        ValueError, EmbeddingUnavailableError: as for `create_embedding_provider`.

    Example:
        >>> resolve_embedder(lambda text: [len(text), 1.0]).encode("abc").shape
        (2,)
    """
    if isinstance(embedder, EmbeddingProvider):
        return embedder
    if isinstance(embedder, str):
        try:
            return create_embedding_provider(embedder)
        except ValueError as error:
            raise ValueError(f"embedder: {error}") from None
    if isinstance(embedder, type) and issubclass(embedder, EmbeddingProvider):
        raise TypeError(f"embedder={embedder.__name__} is a class: give an instance, {embedder.__name__}()")
    if callable(embedder):
        from semantic_llm_cache.similarity.calling import CallableEmbeddingProvider

        return CallableEmbeddingProvider(embedder)
    raise TypeError(
        f"embedder= must be an EmbeddingProvider, one of the names {', '.join(PROVIDER_NAMES)}, "
        f"or a function from text to vector, not a {type(embedder).__name__}"
    )


def check_available(embedder: Embedder = "auto") -> EmbeddingProvider:
    """Return the provider for `embedder` after checking for its packages and files. Nothing is loaded.

    Raises:
        EmbeddingUnavailableError: something is missing; the message says how to get it.
        TypeError, ValueError: as for `resolve_embedder`.
    """
    provider = resolve_embedder(embedder)
    provider.check()
    return provider


def set_default_embedder(embedder: Embedder | None) -> None:
    """Make `embedder` what "auto" means in this process; None goes back to looking for a local model.

    Raises:
        TypeError, ValueError, EmbeddingUnavailableError: as for `resolve_embedder`.
    """
    if embedder is None or embedder == "auto":
        _process.default = None
    else:
        _process.default = resolve_embedder(embedder)


def get_default_embedder() -> EmbeddingProvider | None:
    """Return what `set_default_embedder` named, or None."""
    return _process.default
