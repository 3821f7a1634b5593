"""A limit on calls and on money, over sliding windows of time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from semantic_llm_cache.similarity.forking import reset_in_child

__all__ = ["Budget", "Spending"]

_HOUR, _DAY = 3600.0, 86400.0


class Spending:
    """One call that was paid, or will be.

    Attributes:
        at: when it began, in seconds.
        usd: its cost: an estimate until the call has ended.
    """

    __slots__ = ("at", "usd")

    def __init__(self, at: float, usd: float) -> None:
        self.at = at
        self.usd = usd


class Budget:
    """Allows a call only if it keeps all limits. In this process; several threads may use one.

    Args:
        calls_per_hour: most calls begun within any 3,600 s; None for no limit.
        usd_per_hour, usd_per_day: most USD spent within any hour, any 24 hours; None for no limit.
        clock: seconds that only grow.

    Example:
        >>> budget = Budget(calls_per_hour=1)
        >>> budget.reserve(0.0) is not None, budget.reserve(0.0)
        (True, None)
    """

    def __init__(
        self,
        calls_per_hour: int | None = None,
        usd_per_hour: float | None = None,
        usd_per_day: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls_per_hour = calls_per_hour
        self.usd_per_hour = usd_per_hour
        self.usd_per_day = usd_per_day
        self._clock = clock
        self._kept_for = _HOUR if usd_per_day is None else _DAY
        self._spent: deque[Spending] = deque()
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Replace the lock, which a thread that the child lacks may hold. What was spent stays."""
        self._lock = threading.Lock()

    def reserve(self, usd: float) -> Spending | None:
        """Return a record of a call that begins now, or None if it would break a limit.

        Args:
            usd: what it is expected to cost; set the record's `usd` to the real cost once that is known.
        """
        with self._lock:
            now = self._clock()
            while self._spent and self._spent[0].at <= now - self._kept_for:
                self._spent.popleft()
            calls, hour, day = 0, usd, usd
            for spending in self._spent:
                day += spending.usd
                if spending.at > now - _HOUR:
                    calls += 1
                    hour += spending.usd
            if (
                (self.calls_per_hour is not None and calls >= self.calls_per_hour)
                or (self.usd_per_hour is not None and hour > self.usd_per_hour)
                or (self.usd_per_day is not None and day > self.usd_per_day)
            ):
                return None
            spending = Spending(now, usd)
            if (self.calls_per_hour, self.usd_per_hour, self.usd_per_day) != (None, None, None):
                self._spent.append(spending)
            return spending
