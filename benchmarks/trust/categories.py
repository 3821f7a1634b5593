"""`python -m benchmarks.trust.categories [FILE...]`: how well the built-in categories are told.

Prints recall and precision of each category on both halves of `category_prompts`, the time that it takes, and of each
file of prompts (JSON lines with "text" or "prompt", or tabs between texts) the share that counts as time-bound.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter

from semantic_llm_cache.matching.categories import BUILT_IN, category_of, is_time_bound

from .category_prompts import HELD_OUT, PROMPTS

__all__ = ["main"]


def _confusion(rows: Sequence[tuple[str, ...]]) -> Counter[tuple[str, str]]:
    return Counter((wanted, category_of(text)) for wanted, _, text in rows)


def _print_half(name: str, rows: Sequence[tuple[str, ...]]) -> None:
    counts = _confusion(rows)
    right = sum(counts[kind, kind] for kind in BUILT_IN)
    print(f"{name}: {right} of {len(rows)} right")
    for kind in BUILT_IN:
        wanted = sum(count for (want, _), count in counts.items() if want == kind)
        given = sum(count for (_, got), count in counts.items() if got == kind)
        both = counts[kind, kind]
        print(f"  {kind:10}  found {both} of {wanted}, and {given - both} others taken for it")


def _texts(path: Path) -> Iterable[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if path.suffix == ".jsonl":
            record = json.loads(line)
            yield record.get("text") or record.get("prompt") or record.get("question") or ""
        else:
            yield from (part for part in line.split("\t") if " " in part)


def _print_file(path: Path, shown: int) -> None:
    texts = list(dict.fromkeys(text for text in _texts(path) if text))
    found = [text for text in texts if is_time_bound(text)]
    print(f"{path.name}: {len(found)} of {len(texts)} prompts are time-bound ({len(found) / len(texts):.1%})")
    for text in random.Random(0).sample(found, min(shown, len(found))):
        print("   +", text)


def _print_labels(path: Path, shown: int) -> None:
    """Print the labels with the most time-bound prompts, for a file whose prompts have labels.

    The rules were extended after the even rows of some labels had been read, so the odd rows count.
    """
    rows: dict[str, list[bool]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        rows.setdefault(record["answer"], []).append(is_time_bound(record["prompt"]))
    for label, found in sorted(rows.items(), key=lambda item: -sum(item[1]) / len(item[1]))[:shown]:
        even, odd = found[::2], found[1::2]
        print(f"   {label:20} even rows {sum(even)} of {len(even)}, odd rows {sum(odd)} of {len(odd)}")


def _print_time(rows: Sequence[tuple[str, ...]]) -> None:
    for name, chosen in (("time-bound", True), ("others", False)):
        texts = [text for kind, _, text in rows if (kind == "time-bound") is chosen]
        best = min(_once(texts) for _ in range(20))
        print(f"is_time_bound, {name}: {best / len(texts) * 1e6:.1f} us a prompt")


def _once(texts: Sequence[str]) -> float:
    began = perf_counter()
    for text in texts:
        is_time_bound(text)
    return perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust.categories", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--show", type=int, default=0, help="print so many of a file's time-bound prompts")
    parser.add_argument("--labels", type=int, default=0, help="print so many labels, most time-bound first")
    parser.add_argument("--errors", action="store_true", help="print the wrong ones of the half that is not held out")
    given = parser.parse_args(arguments)
    _print_half("half for making the rules", PROMPTS)
    _print_half("held-out half", HELD_OUT)
    if given.errors:
        for wanted, _, text in PROMPTS:
            if category_of(text) != wanted:
                print(f"   {wanted} -> {category_of(text)}: {text}")
    _print_time(PROMPTS)
    for path in given.files:
        _print_file(path, given.show)
        if given.labels and path.suffix == ".jsonl":
            _print_labels(path, given.labels)


if __name__ == "__main__":
    main()
