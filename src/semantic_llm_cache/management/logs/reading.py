"""Reads logs of model calls written by providers, proxies and tracing tools, one call at a time.

`CallLog` reads a file; the formats of its records are in `management.logs.formats`.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.management.logs.formats import FORMATS, BadRecord, LoggedCall, NotForCache, detect
from semantic_llm_cache.redaction import describe

__all__ = ["FORMAT_NAMES", "BadRecord", "CallLog", "Item", "LoggedCall", "NotForCache"]

FORMAT_NAMES = tuple(FORMATS)
_LOOKED_AT = 50
"""Number of records from which a file's format is detected."""


class Item(NamedTuple):
    """One record of a log.

    Args:
        place: ``"line 7"``, or ``"entry 7"`` of a JSON document.
        call: the call; or why there is none: `NotForCache` for a valid record without an answer to keep,
            `BadRecord` for one that cannot be read.
        position: bytes of the file read so far.
    """

    place: str
    call: LoggedCall | NotForCache | BadRecord
    position: int


class CallLog:
    """A file of logged calls: JSON lines, or one JSON document that holds a list of records.

    Args:
        path: of the file.
        format: one of `FORMAT_NAMES`, or ``"auto"``: detected from the first records.
        requests: for the output of a batch, the file that was its input. Only the position of each
            request is held in memory.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the format is unknown or cannot be detected, or the requests of a batch are not named.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "log.jsonl"
        ...     _ = path.write_text('{"prompt": "2+2?", "response": "4"}\\n')
        ...     log = CallLog(path)
        ...     log.format, [item.call.response for item in log]
        ('plain', ['4'])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: str = "auto",
        *,
        requests: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(format, str) or (format != "auto" and format not in FORMATS):
            raise ValueError(f"format={shown(format)} must be auto, {', '.join(FORMATS)}")
        self.path = pathlib.Path(path)
        self.size = self.path.stat().st_size
        self._document = _is_document(self.path)
        self.format = self._detect() if format == "auto" else format
        self._requests = None if requests is None else _Requests(pathlib.Path(requests))
        if self.format == "openai-batch" and self._requests is None and not self._holds_requests():
            raise ValueError(
                f"{self.path} is the output of a batch, which does not hold the requests: name the batch's input "
                "with requests="
            )

    def _detect(self) -> str:
        found: dict[str, int] = {}
        for number, (_, record, _) in enumerate(self._records()):
            if number >= _LOOKED_AT:
                break
            name = detect(record) if isinstance(record, Mapping) else None
            if name is not None:
                found[name] = found.get(name, 0) + 1
        if "openai-batch-input" in found:
            raise ValueError(
                f"{self.path} is the input of a batch and holds no answers: give its output, and this file with "
                "requests="
            )
        if not found:
            raise ValueError(
                f"cannot recognise the format of {self.path}: it is none of {', '.join(FORMATS)}. In plain lines, name "
                'the fields "prompt" and "response"'
            )
        return max(found, key=lambda name: found[name])

    def _holds_requests(self) -> bool:
        for number, (_, record, _) in enumerate(self._records()):
            if isinstance(record, Mapping) and isinstance(record.get("body"), Mapping):
                return True
            if number >= _LOOKED_AT:
                break
        return False

    def __iter__(self) -> Iterator[Item]:
        read = FORMATS[self.format].read
        for place, record, position in self._records():
            call: LoggedCall | NotForCache | BadRecord
            if isinstance(record, BadRecord):
                call = record
            elif not isinstance(record, Mapping):
                call = BadRecord(f"not an object but {type(record).__name__}")
            else:
                try:
                    call = read(record, self._requests)
                except (NotForCache, BadRecord) as reason:
                    call = reason
                except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
                    call = BadRecord(f"not of the format {self.format} ({describe(error)})")
            yield Item(place, call, position)

    def _records(self) -> Iterator[tuple[str, Any, int]]:
        return self._of_document() if self._document else self._of_lines()

    def _of_lines(self) -> Iterator[tuple[str, Any, int]]:
        position = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                position += len(line)
                if line.strip():
                    yield f"line {number}", _parse(line), position

    def _of_document(self) -> Iterator[tuple[str, Any, int]]:
        document = _parse(self.path.read_bytes())
        if isinstance(document, Mapping) and isinstance(document.get("data"), list):  # a page of an API
            document = document["data"]
        records = document if isinstance(document, list) else [document]
        for number, record in enumerate(records, start=1):
            yield f"entry {number}", record, self.size * number // len(records)


class _Requests(Mapping[str, Any]):
    """The requests of a batch's input by their `custom_id`, read on demand."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        place = 0
        with path.open("rb") as file:
            for line in file:
                record = _parse(line) if line.strip() else None
                if isinstance(record, Mapping) and isinstance(record.get("custom_id"), str):
                    self._places[record["custom_id"]] = place
                place += len(line)

    def __getitem__(self, name: str) -> Any:
        with self.path.open("rb") as file:
            file.seek(self._places[name])
            return _parse(file.readline())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _is_document(path: pathlib.Path) -> bool:
    """Return whether a file is one JSON document rather than lines of JSON."""
    with path.open("rb") as file:
        for line in file:
            text = line.lstrip(b"\xef\xbb\xbf").strip()
            if text:
                break
        else:
            return False
        if text.startswith(b"["):
            return True
        if not text.startswith(b"{"):
            return False
        record = _parse(text)
        if isinstance(record, BadRecord):
            # Either the first line of an object that continues below, or a damaged line of JSON lines.
            return text == b"{" or path.suffix.lower() == ".json"
        return isinstance(record, Mapping) and isinstance(record.get("data"), list)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadRecord(f"not UTF-8 text: {error.reason}")
    except (ValueError, RecursionError) as error:
        return BadRecord(f"not JSON: {error}")
