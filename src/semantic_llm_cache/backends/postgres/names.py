"""The names of the tables, functions and channels of a backend."""

from __future__ import annotations

import hashlib
import re
from typing import Any

__all__ = ["Names", "check_identifier"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def check_identifier(text: Any, name: str, *, empty: bool = False) -> str:
    """Return a schema's name or a prefix. ValueError for what would have to be quoted, or is too long."""
    if not isinstance(text, str) or len(text) > 32 or (not _IDENTIFIER.match(text) and not (empty and not text)):
        raise ValueError(f"{name}={text!r} must be letters, digits and underscores, 32 at most, no digit first")
    return text


class Names:
    """The names of all that is ours."""

    def __init__(self, schema: str, prefix: str) -> None:
        self.schema = schema
        self.prefix = prefix
        self.entries, self.hits, self.counters, self.state, self.layout = (
            f'"{schema}"."{prefix}{table}"' for table in ("entries", "hits", "counters", "state", "layout")
        )
        self.vectors = f'"{schema}"."{prefix}vectors"'
        self.near_exact = f'"{schema}"."{prefix}near_exact"'
        self.leases, self.lease, self.tell = (f'"{schema}"."{prefix}{what}"' for what in ("leases", "lease", "tell"))
        ours = hashlib.blake2b(f"{schema}.{prefix}".encode(), digest_size=10).hexdigest()
        self.number = int(ours[:7], 16)
        """Stands for them where a lock wants a number."""
        # Channels belong to the whole database, and their names are short.
        self.changed_channel, self.freed_channel = f"slc_{ours}_changed", f"slc_{ours}_freed"

    def index(self, what: str) -> str:
        """Return the name of an index of the entries, without the schema."""
        return f"{self.prefix}entries_{what}"

    def near(self, dimension: int) -> str:
        """Return the function that searches the vectors of a dimension by their graph."""
        return f'"{self.schema}"."{self.prefix}near_{dimension}"'
