"""Code shared by `explain`, `replay` and `calibrate`: log and pair files, options, embedding with a progress bar."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

import click

from semantic_llm_cache.cli.common import CommandError
from semantic_llm_cache.cli.output import clean, fit
from semantic_llm_cache.cli.parsing import COUNT, option
from semantic_llm_cache.cli.progress import Progress
from semantic_llm_cache.management.logs.formats import ANSWER_NAMES, PROMPT_NAMES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from semantic_llm_cache.matching.guards import GuardSet
    from semantic_llm_cache.similarity import EmbeddingProvider

__all__ = [
    "Table",
    "answer_options",
    "embed",
    "embedder_option",
    "guards_option",
    "log_columns",
    "make_embedder",
    "make_guards",
    "pair_columns",
    "read_labels",
    "read_table",
]

PAIR_NAMES = (
    ("text_a", "text_b"),
    ("prompt_a", "prompt_b"),
    ("question_a", "question_b"),
    ("text1", "text2"),
    ("prompt1", "prompt2"),
    ("question1", "question2"),
    ("sentence1", "sentence2"),
    ("a", "b"),
)
LABEL_NAMES = ("label", "is_duplicate", "duplicate", "same", "is_paraphrase")
_LINES = (".jsonl", ".ndjson")
_SUFFIXES = (".csv", ".tsv", ".tab", *_LINES)
_CHUNK = 512  # texts per call of the embedder, which sorts them by length to reduce padding
_LONGEST_FIELD = 2**30


# ------------------------------------------------------------------------------ options


_Declared = TypeVar("_Declared", bound="Callable[..., Any]")

embedder_option = option(
    "--embedder",
    default="auto",
    metavar="NAME",
    help="Embedding model: auto, onnx, onnx:int8, sentence-transformer, openai or openai:MODEL.",
)
guards_option = option(
    "--guards", metavar="NAMES", help="Guards: default, none, or names separated by commas (default: default)."
)


def answer_options(function: _Declared) -> _Declared:
    """Add --prompt-column, --answer-column, --answers, --limit and --seed."""
    for add in reversed(
        (
            option("--prompt-column", metavar="NAME", help=f"Column of prompts (default: {', '.join(PROMPT_NAMES)})."),
            option("--answer-column", metavar="NAME", help=f"Column of answers (default: {', '.join(ANSWER_NAMES)})."),
            option(
                "--answers",
                type=click.Choice(("equal", "meaning")),
                default="equal",
                help="How two answers are compared: equal up to case and punctuation; with meaning, long ones are also "
                "the same when their embeddings are near.",
            ),
            option("--limit", type=COUNT, metavar="N", help="Only the first N rows."),
            option("--seed", type=int, default=0, metavar="N", help="Seed of all random draws."),
        )
    ):
        function = add(function)
    return function


def make_guards(text: str | None) -> GuardSet:
    """Return the guards that --guards names.

    Raises:
        CommandError: an unknown name.
    """
    from semantic_llm_cache.matching.guards import resolve_guards

    names = [name.strip() for name in (text or "default").split(",") if name.strip()]
    try:
        return resolve_guards(names or ["default"])
    except ValueError as error:
        raise CommandError(f"--{error}", code=2) from error


def make_embedder(name: str, option: str = "--embedder") -> EmbeddingProvider:
    """Return the embedder that --embedder (or another option) names, after checking for its packages and files.

    Raises:
        CommandError: exit code 2: an unknown name, or something is missing.
    """
    from semantic_llm_cache.exceptions import EmbeddingUnavailableError
    from semantic_llm_cache.similarity import check_available

    try:
        return check_available(name)
    except (EmbeddingUnavailableError, ValueError) as error:
        what = str(error).removeprefix("embedder: ")
        raise CommandError(f"{option} {clean(name)}: {what}", code=2) from error


# ------------------------------------------------------------------------------ embedding


def embed(
    embedder: EmbeddingProvider, texts: Sequence[str], *, what: str = "prompts", quiet: bool = False
) -> npt.NDArray[np.float32]:
    """Return the unit vectors of `texts`, shape (n, dimension), each distinct text embedded once.

    Args:
        embedder: the embedder.
        texts: at least one.
        what: what the texts are, for the progress bar on stderr.
        quiet: show no progress bar.
    """
    import numpy as np

    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(text, len(numbers)) for text in texts]
    # Sort by length, so that texts of similar length share a chunk and need little padding.
    distinct = sorted(numbers, key=len)
    chunks = [distinct[i : i + _CHUNK] for i in range(0, len(distinct), _CHUNK)]
    vectors: npt.NDArray[np.float32] | None = None
    done = 0
    with Progress(len(chunks), enabled=not quiet) as progress:
        for chunk in chunks:
            part = embedder.encode_batch(chunk)
            if vectors is None:
                vectors = np.empty((len(distinct), part.shape[1]), dtype=np.float32)
            vectors[[numbers[text] for text in chunk]] = part
            done += len(chunk)
            progress.step(f"embedding: {done:,} of {len(distinct):,} {what}")
    assert vectors is not None
    return vectors[rows] if len(distinct) < len(rows) else vectors


# ------------------------------------------------------------------------------ files


class Table(NamedTuple):
    """A file's rows.

    Args:
        name: the file, for messages.
        columns: their names.
        rows: one dict per row; in JSONL a column may be missing from it.
        lines: line number of each row, from 1.
    """

    name: str
    columns: list[str]
    rows: list[dict[str, Any]]
    lines: list[int]

    def texts(self, column: str) -> list[str]:
        """Return a column as text, one per row.

        Raises:
            CommandError: a row lacks it; the message names its line.
        """
        found = []
        for row, line in zip(self.rows, self.lines, strict=True):
            value = row.get(column)
            if value is None:
                raise CommandError(f"{self.name}, line {line}: no {clean(column)!r}")
            found.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return found


def read_table(name: str, limit: int | None = None) -> Table:
    """Read a CSV, TSV or JSONL file; the suffix says which.

    Args:
        name: path of the file.
        limit: read this many rows at most.

    Raises:
        CommandError: there is no such file, it is of another kind, it is empty, or a line cannot be read.
    """
    path, shown = Path(name), clean(name)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise CommandError(f"cannot tell what {shown} is: name it .csv, .tsv or .jsonl", code=2)
    if not path.is_file():
        raise CommandError(f"cannot read {shown}: no such file")
    try:
        if suffix in _LINES:
            found = _collect(path, lambda file: _json_rows(file, shown), limit)
        elif suffix == ".csv":
            found = _collect(path, lambda file: _cell_rows(csv.reader(file, strict=True), shown), limit)
        else:
            found = _tabbed(path, shown, limit)
    except UnicodeDecodeError as error:
        raise CommandError(f"{shown} is not UTF-8 text: {error.reason}") from error
    if not found:
        raise CommandError(f"{shown} holds no rows")
    columns: dict[str, None] = {}
    for _, row in found:
        columns.update(dict.fromkeys(row))
    return Table(shown, list(columns), [row for _, row in found], [line for line, _ in found])


_Rows = list[tuple[int, dict[str, Any]]]


def _collect(path: Path, parse: Callable[[TextIO], Iterator[tuple[int, dict[str, Any]]]], limit: int | None) -> _Rows:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(itertools.islice(parse(file), limit))
    finally:
        csv.field_size_limit(before)


def _tabbed(path: Path, name: str, limit: int | None) -> _Rows:
    """Read tab-separated text: without quoting, as in the registered format, else as spreadsheets write it."""
    try:
        return _collect(path, lambda file: _cell_rows(_Lines(file), name), limit)
    except CommandError:
        try:
            return _collect(path, lambda file: _cell_rows(csv.reader(file, "excel-tab", strict=True), name), limit)
        except CommandError:
            pass
        raise


def _json_rows(file: TextIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{name}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise CommandError(f"{name}, line {number}: not an object but {type(row).__name__}")
        yield number, row


def _cell_rows(rows: Any, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header: list[str] | None = None
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                raise CommandError(
                    f"{name}, line {rows.line_num}: {len(cells)} fields, but the heading has {len(header)}"
                )
            else:
                yield rows.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise CommandError(f"{name}, line {rows.line_num}: {error}") from error


class _Lines:
    """The fields of tab-separated lines; quotes mean nothing unless they enclose a whole field."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        for line in self._file:
            self.line_num += 1
            yield [_unquote(field) for field in line.rstrip("\r\n").split("\t")]


def _unquote(field: str) -> str:
    if len(field) >= 2 and field[0] == field[-1] == '"':
        inside = field[1:-1].replace('""', "\0")
        if '"' not in inside:
            return inside.replace("\0", '"')
    return field


# ------------------------------------------------------------------------------ columns


def log_columns(table: Table, prompt: str | None, answer: str | None) -> tuple[str, str]:
    """Return the names of the columns with prompts and answers.

    Args:
        table: the file.
        prompt, answer: the names given; None looks for usual ones.

    Raises:
        CommandError: exit code 2, listing the columns.
    """
    return (
        _column(table, prompt, PROMPT_NAMES, "prompts", "--prompt-column"),
        _column(table, answer, ANSWER_NAMES, "answers", "--answer-column"),
    )


def _column(table: Table, given: str | None, usual: Sequence[str], what: str, option: str) -> str:
    listed = fit(", ".join(map(clean, table.columns)), 300)
    if given is not None:
        if given not in table.columns:
            raise CommandError(f"{table.name} has no column {clean(given)!r}; it has: {listed}", code=2)
        return given
    folded = {name.strip().casefold(): name for name in reversed(table.columns)}
    for name in usual:
        if name in folded:
            return folded[name]
    raise CommandError(f"{table.name}: no column of {what} found; name one of these with {option}: {listed}", code=2)


def pair_columns(table: Table) -> tuple[str, str, str] | None:
    """Return the names of the columns with the two texts and the label; None when the file does not hold pairs."""
    folded = {name.strip().casefold(): name for name in reversed(table.columns)}
    for first, second in PAIR_NAMES:
        if first in folded and second in folded:
            for label in LABEL_NAMES:
                if label in folded:
                    return folded[first], folded[second], folded[label]
            listed = fit(", ".join(map(clean, table.columns)), 300)
            raise CommandError(
                f"{table.name} has pairs but no labels: name the column with 0 and 1 'label'; it has: {listed}",
                code=2,
            )
    return None


def read_labels(table: Table, column: str) -> list[bool]:
    """Return the labels, one per row: True where the two texts ask the same question.

    Raises:
        CommandError: a label is not 0 or 1; the message names its line.
    """
    known = {"0": False, "1": True, "false": False, "true": True}
    found = []
    for text, line in zip(table.texts(column), table.lines, strict=True):
        label = known.get(text.strip().casefold())
        if label is None:
            raise CommandError(
                f"{table.name}, line {line}: {clean(column)} is {fit(clean(text), 40)!r}, not 0 (different) or "
                "1 (the same)"
            )
        found.append(label)
    return found
