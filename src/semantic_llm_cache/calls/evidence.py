"""What an answer rests on: documents, tools, a state of the knowledge base, each with its version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from semantic_llm_cache.arguments import shown

__all__ = [
    "MASKED_TAG",
    "Evidence",
    "dependency_tags",
    "evidence_of",
    "evidence_tags",
    "joined",
    "read_dependencies",
    "version_text",
]

_NAME, _VERSION = "depends-on:", "version:"
MASKED_TAG = "redact:masked"
"""The label of entries whose prompt is not the one that was asked: they are never found by meaning."""
_LONGEST = 256  # characters of a version
_HELP = 'give names with versions, {"doc:17": "v3"}, or names alone, ("doc:17",)'


@dataclass(eq=False, repr=False)
class Evidence:
    """What a call's answer rests on, and how to learn whether a stored answer still rests on the same.

    Attributes:
        versions: name -> version, as text; None where the version is not known.
        version_of: returns the present version of a name, None if it is gone; plain or async. None: not known.
        overlap: the least share of names that a stored answer must have in common with the call.
        learned: the names whose version is one that `version_of` returned; the call itself did not give it.
    """

    versions: Mapping[str, str | None]
    version_of: Callable[[str], Any] | None = None
    overlap: float = 0.0
    learned: frozenset[str] = frozenset()

    def plus(self, versions: Mapping[str, str | None]) -> Evidence:
        """Return the same with more names; a version given now replaces an earlier one."""
        return replace(self, versions=joined(self.versions, versions)) if versions else self

    def with_learned(self, versions: Mapping[str, str]) -> Evidence:
        """Return the same with versions that `version_of` returned."""
        return replace(self.plus(versions), learned=self.learned.union(versions))

    def without_learned(self) -> Evidence:
        """Return the same as the call gave it, so that `version_of` is asked again."""
        if not self.learned:
            return self
        given = {name: None if name in self.learned else version for name, version in self.versions.items()}
        return replace(self, versions=given, learned=frozenset())

    @property
    def unversioned(self) -> list[str]:
        """The names whose versions must be asked for before the call."""
        return [name for name, version in self.versions.items() if version is None] if self.version_of else []

    @cached_property
    def digest(self) -> str:
        """Short text that is equal for calls that rest on the same: only these share a call in flight."""
        import json
        from hashlib import blake2b

        form = json.dumps(sorted(self.versions.items())).encode("utf-8", "surrogatepass")
        return blake2b(form, digest_size=8).hexdigest()


def joined(earlier: Mapping[str, str | None], later: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return all names. A later version replaces an earlier one; a name given without one keeps the version it has.

    Example:
        >>> joined({"kb": "1", "doc": "2"}, {"kb": "3", "doc": None})
        {'kb': '3', 'doc': '2'}
    """
    return {
        **earlier,
        **{name: version for name, version in later.items() if version is not None or name not in earlier},
    }


def read_dependencies(value: Any, name: str = "depends_on") -> dict[str, str | None]:
    """Return name -> version of what a user gave.

    Args:
        value: a mapping of names to versions (text, numbers; None for unknown), or names alone.
        name: the argument, for the message.

    Raises:
        TypeError: it is something else, or a name is not text.
        ValueError: a name is empty.

    Example:
        >>> read_dependencies({"doc:17": 3}), read_dependencies(["kb"])
        ({'doc:17': '3'}, {'kb': None})
    """
    if isinstance(value, str):
        value = (value,)
    if callable(value) and not isinstance(value, Mapping):
        raise TypeError(f"{name}={shown(value)}: {_HELP}; a callable can only be given with a decorated function")
    if isinstance(value, (bytes, bytearray)) or not isinstance(value, (Mapping, Iterable)):
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: {_HELP}")
    items = list(value.items()) if isinstance(value, Mapping) else [(each, None) for each in value]
    found: dict[str, str | None] = {}
    for each, version in items:
        if not isinstance(each, str):
            raise TypeError(f"{name}={shown(value)} has a name of type {type(each).__name__}: {_HELP}")
        if not each:
            raise ValueError(f"{name}={shown(value)} has an empty name: {_HELP}")
        try:
            found[each] = version_text(version)
        except TypeError as error:
            raise TypeError(f"{name}: the version of {each!r} {error}") from None
    return found


def version_text(version: Any) -> str | None:
    """Return a version as text, None if it is not known. Of a long one, such as a whole document, a hash.

    Raises:
        TypeError: it is a collection, or its text would hold its address in memory, which says nothing of its content.

    Example:
        >>> version_text(3), version_text("v3")
        ('3', 'v3')
    """
    kind: Any = type(version)
    nameless = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    if nameless or callable(version) or isinstance(version, (Mapping, list, tuple, set, frozenset)):
        raise TypeError(f"is of type {kind.__name__}: give text or a number")
    text = None if version is None else str(version)
    if text is not None and len(text) > _LONGEST:  # each entry holds it, and only equality counts
        from hashlib import blake2b

        return "blake2b:" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return text


def dependency_tags(names: Iterable[str]) -> tuple[str, ...]:
    """Return the labels by which entries that rest on any of `names` are found."""
    return tuple(_NAME + name for name in names)


def evidence_tags(versions: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the labels that keep what an answer rests on with its entry, in every backend alike.

    Example:
        >>> evidence_of(evidence_tags({"doc:17": "v3", "kb": None}))
        {'doc:17': 'v3', 'kb': None}
    """
    import json

    # Not as escapes of ASCII: JSON would join two halves of surrogate pairs to one character.
    known = (
        _VERSION + json.dumps([name, version], ensure_ascii=False)
        for name, version in versions.items()
        if version is not None
    )
    return (*dependency_tags(versions), *known)


def evidence_of(tags: Iterable[str]) -> dict[str, str | None]:
    """Return name -> version of what an entry with these labels rests on; a label that cannot be read is left out."""
    found: dict[str, str | None] = {}
    versions: dict[str, str] = {}
    for tag in tags:
        if tag.startswith(_NAME):
            found[tag[len(_NAME) :]] = None
        elif tag.startswith(_VERSION):
            import json

            try:
                name, version = json.loads(tag[len(_VERSION) :])
            except (ValueError, TypeError):
                continue
            versions[str(name)] = str(version)
    return {name: versions.get(name) for name in found}
