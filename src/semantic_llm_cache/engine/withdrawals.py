"""Labels of which `invalidate` has removed the entries: calls that began before must not store such an entry again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from time import perf_counter

__all__ = ["Withdrawals"]

_MOST = 10_000


class Withdrawals:
    """When each label was last withdrawn in this process. Thread-safe.

    Of more than 10,000 labels the oldest are forgotten, and count as withdrawn at the time of the last of these.

    Attributes:
        by: a name for this process, by which it knows its own notes in the storage.
        warned: whether it was logged that a note is ahead of the clock here.

    Example:
        >>> withdrawals = Withdrawals()
        >>> began = perf_counter()
        >>> withdrawals.note(["depends-on:doc:17"])
        >>> withdrawals.concern(["depends-on:doc:17"], began), withdrawals.concern(["depends-on:doc:18"], began)
        (True, False)
    """

    def __init__(self) -> None:
        self._times: OrderedDict[str, float] = OrderedDict()
        self._floor = float("-inf")  # labels that are forgotten count as withdrawn then
        self._lock = threading.Lock()
        self.by = os.urandom(8).hex()
        self.warned = False

    def note(self, labels: Iterable[str]) -> None:
        """Note that the entries with any of these labels are being removed."""
        with self._lock:
            now = perf_counter()
            for label in labels:
                self._times[label] = now
                self._times.move_to_end(label)
            while len(self._times) > _MOST:
                self._floor = max(self._floor, self._times.popitem(last=False)[1])

    def concern(self, labels: Iterable[str], began: float) -> bool:
        """Return whether any of these labels was withdrawn at or after `began`, by `perf_counter`."""
        if not self._times:
            return False
        with self._lock:
            return any(self._times.get(label, self._floor) >= began for label in labels)
