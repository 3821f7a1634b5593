"""`LoadOnce`: a model or client that is loaded once in a process, on first use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity.forking import leak, reset_in_child

__all__ = ["LoadOnce"]

T = TypeVar("T")


class LoadOnce(Generic[T]):
    """Loads one value on first use, in the first thread that asks; the others wait for it.

    After a failure, callers get the same error without another try until `retry_after` seconds have passed.
    A forked process loads its own.

    Args:
        load: returns the value. Blocks.
        describe: returns the message for an error of `load`; an EmbeddingUnavailableError keeps its own message.
        retry_after: seconds without another try after a failure.
        native: the value owns threads of native code. A forked child then never destroys the parent's value.

    Example:
        >>> model = LoadOnce(lambda: "weights", lambda error: f"the model cannot be loaded: {error}")
        >>> model.loaded, model.get(), model.loaded
        (False, 'weights', True)
    """

    def __init__(
        self,
        load: Callable[[], T],
        describe: Callable[[Exception], str],
        *,
        retry_after: float = 5.0,
        native: bool = False,
    ) -> None:
        self._load = load
        self._describe = describe
        self._retry_after = retry_after
        self._native = native
        self.value: T | None = None
        """The loaded value, or None."""
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's value, lock and failure."""
        if self._native and self.value is not None:
            leak(self.value)
        self.value = None
        self._failure: tuple[float, str] | None = None  # when to try again, and what went wrong
        self.lock = threading.RLock()
        """Held while the value is loaded; reentrant."""

    @property
    def loaded(self) -> bool:
        """Return True once the value is loaded."""
        return self.value is not None

    def get(self) -> T:
        """Return the value, loading it first if necessary. Blocks.

        Raises:
            EmbeddingUnavailableError: it could not be loaded, just now or less than `retry_after` seconds ago.
        """
        value = self.value
        if value is None:
            with self.lock:
                value = self.value
                if value is None:  # else loaded by another thread meanwhile
                    value = self.value = self._try()
        return value

    def _try(self) -> T:
        if self._failure is not None and time.monotonic() < self._failure[0]:
            raise EmbeddingUnavailableError(self._failure[1])
        if self._native:
            import ctypes  # noqa: F401  (`leak` needs it in a forked child, where importing is unsafe)
        try:
            value = self._load()
        except Exception as error:
            message = str(error) if isinstance(error, EmbeddingUnavailableError) else self._describe(error)
            self._failure = (time.monotonic() + self._retry_after, message)
            raise EmbeddingUnavailableError(message) from error
        self._failure = None
        return value

    def drop(self) -> T | None:
        """Drop the value and return it, or None if there was none. The next `get` loads it again."""
        with self.lock:
            value, self.value = self.value, None
        return value
