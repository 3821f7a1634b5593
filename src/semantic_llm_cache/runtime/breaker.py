"""A circuit breaker: after some failures in a row, calls stop waiting for what is down."""

from __future__ import annotations

import logging
import threading
import time

from semantic_llm_cache.redaction import describe

__all__ = ["CircuitBreaker", "logger"]

logger = logging.getLogger("semantic_llm_cache")


class CircuitBreaker:
    """Opens after `failures` failures in a row; lets one trial through every `retry_after` seconds.

    Args:
        name: name of the guarded service, for the log. Must not contain credentials.
        failures: how many in a row open the breaker.
        retry_after: seconds until the next trial.

    Each outage is logged once when it begins, with a remedy, and once when it ends.
    """

    def __init__(self, name: str, *, failures: int = 3, retry_after: float = 5.0) -> None:
        self.name = name
        self.failures = failures
        self.retry_after = retry_after
        self._lock = threading.Lock()
        self._count = 0
        self._retry_at: float | None = None
        self._logged = False

    def reset_after_fork(self) -> None:
        """Replace the lock: in a forked child, the thread that may hold it does not exist. The rest is unchanged."""
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """True while calls are refused."""
        return self._retry_at is not None

    def allow(self) -> bool:
        """Return whether a call may try. While the breaker is open, only one of several callers may."""
        if self._retry_at is None:
            return True
        with self._lock:
            now = time.monotonic()
            if not self.open:  # another thread closed it meanwhile
                return True
            if now < self._retry_at:
                return False
            self._retry_at = now + self.retry_after
            return True

    def succeeded(self) -> None:
        """Record a success."""
        if not self._count and not self._logged:
            return
        with self._lock:
            back, self._count, self._retry_at, self._logged = self._logged, 0, None, False
        if back:
            logger.warning("semantic-llm-cache: %s works again", self.name)

    def failed(self, error: BaseException, remedy: str) -> None:
        """Record a failure."""
        with self._lock:
            self._count += 1
            if self._count >= self.failures:
                self._retry_at = time.monotonic() + self.retry_after
            first, self._logged = not self._logged, True
        if first:
            logger.warning(
                "semantic-llm-cache: %s failed (%s). Calls go on without it meanwhile. %s",
                self.name,
                describe(error),
                remedy,
            )
