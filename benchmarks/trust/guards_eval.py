"""Guards against bare cosine at equal hits, on labelled pairs; and on our own traps and paraphrases.

    python -m benchmarks.trust.guards_eval --data PATH [--data PATH ...] [--guards ...] [--without rider] [--json]

A data file is tab separated with the columns `text_a`, `text_b` and `label` (1 = the same question). Without
`--data` only the project's own tables (`traps`, `riders`, `reversals`) are measured. What one rule costs and saves is
the difference between two runs, with and `--without` it. Embeddings: the package's default model.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semantic_llm_cache.matching.guards import GuardSet, get_guard, resolve_guards

THRESHOLDS = (0.85, 0.90, 0.95)


class Pair(NamedTuple):
    a: str
    b: str
    same: bool


def load_pairs(path: str | Path) -> list[Pair]:
    """Read labelled pairs. SystemExit with a plain sentence when the file is missing or has other columns."""
    file = Path(path)
    if not file.is_file():
        raise SystemExit(f"guards_eval: no data file at {path}: give --data the path of a tab-separated file")
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
        header = next(reader, [])
        if not {"text_a", "text_b", "label"} <= set(header):
            raise SystemExit(f"guards_eval: {file.name} needs the columns text_a, text_b and label, has {header}")
        a, b, label = (header.index(c) for c in ("text_a", "text_b", "label"))
        return [Pair(row[a], row[b], row[label] == "1") for row in reader if len(row) == len(header)]


def cosines(pairs: Sequence[Pair], cache: Path | None = None) -> np.ndarray:
    """Return the cosine of each pair with the default model; from `cache` (.npy) when that fits."""
    if cache is not None and cache.is_file():
        known: np.ndarray = np.load(cache)
        if len(known) == len(pairs):
            return known
    from semantic_llm_cache.similarity import OnnxEmbeddingProvider

    texts = sorted({t for p in pairs for t in p[:2]}, key=len)
    provider = OnnxEmbeddingProvider()
    index = {text: i for i, text in enumerate(texts)}
    vectors = np.concatenate([provider.encode_batch(texts[i : i + 64]) for i in range(0, len(texts), 64)])
    left = vectors[[index[p.a] for p in pairs]]
    right = vectors[[index[p.b] for p in pairs]]
    result: np.ndarray = np.einsum("ij,ij->i", left, right)
    if cache is not None:
        np.save(cache, result)
    return result


def evaluate(
    pairs: Sequence[Pair],
    similarity: np.ndarray,
    guards: GuardSet,
    thresholds: Sequence[float] = THRESHOLDS,
    vetoes: Sequence[str | None] | None = None,
) -> list[dict[str, Any]]:
    """Return one row a threshold: hits and wrong share of bare cosine, of guards, of bare cosine at equal hits."""
    same = np.array([p.same for p in pairs])
    if vetoes is None:
        vetoes = vetoed_by(pairs, similarity, guards, min(thresholds))
    clear = np.array([v is None for v in vetoes])
    order = np.argsort(-similarity, kind="stable")
    rows = []
    for threshold in thresholds:
        near = similarity >= threshold - 1e-6
        kept = near & clear
        equal = order[: int(kept.sum())]
        rows.append(
            {
                "threshold": threshold,
                "bare_hits": int(near.sum()),
                "bare_wrong": _share(~same, near),
                "guarded_hits": int(kept.sum()),
                "guarded_wrong": _share(~same, kept),
                "right_kept": _share(clear, near & same),
                "wrong_refused": _share(~clear, near & ~same),
                "equal_hits_threshold": float(similarity[equal[-1]]) if len(equal) else None,
                "equal_hits_wrong": float((~same[equal]).mean()) if len(equal) else None,
                "vetoes": dict(Counter(v for v, n in zip(vetoes, near, strict=True) if v is not None and n)),
            }
        )
    return rows


def vetoed_by(
    pairs: Sequence[Pair], similarity: np.ndarray | None, guards: GuardSet, floor: float = -1.0
) -> list[str | None]:
    """Return the rule that objects to each pair; pairs below `floor` are not asked about."""
    found: list[str | None] = []
    for i, pair in enumerate(pairs):
        veto = None
        if similarity is None or similarity[i] >= floor - 1e-6:
            veto = guards.check(pair.a, pair.b)
        found.append(None if veto is None else veto.rule)
    return found


def _share(of: np.ndarray, among: np.ndarray) -> float | None:
    return float(of[among].mean()) if among.any() else None


def halves(pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd rows: rules may be developed on the first, the second confirms."""
    even = np.arange(len(pairs)) % 2 == 0
    return even, ~even


def _tables() -> Iterator[tuple[str, Sequence[Any], bool]]:
    """Give the project's own tables: name, rows, and whether their pairs ask the same."""
    from . import kinds, reversals, riders, traps

    for module, apart, alike in (
        (traps, "TRAPS", "PARAPHRASES"),
        (riders, "ATTACKS", "HONEST"),
        (reversals, "REVERSED", "REFORMED"),
        (kinds, "APART", "ALIKE"),
    ):
        for half in ("", "HELD_OUT_"):
            yield half + apart, getattr(module, half + apart), False
            yield half + alike, getattr(module, half + alike), True


def traps_report(guards: GuardSet, floor: float = 0.90) -> dict[str, Any]:
    """Measure the project's own tables: share refused by guards, by cosine below `floor`, by either."""
    report: dict[str, Any] = {}
    for name, rows, same in _tables():
        pairs = [Pair(r.a, r.b, same) for r in rows]
        similarity = cosines(pairs)
        vetoes = vetoed_by(pairs, None, guards)
        refused = np.array([v is not None for v in vetoes])
        far = similarity < floor - 1e-6
        report[name.lower()] = {
            "pairs": len(pairs),
            "refused_by_guards": float(refused.mean()),
            "below_cosine": float(far.mean()),
            "refused_by_either": float((refused | far).mean()),
            "near": {f"{t:.2f}": int((similarity >= t - 1e-6).sum()) for t in THRESHOLDS},
            "passing": {f"{t:.2f}": int(((similarity >= t - 1e-6) & ~refused).sum()) for t in THRESHOLDS},
            "not_as_wanted": [
                {"kind": r.kind, "a": r.a, "b": r.b, "rule": v, "cosine": round(float(s), 3)}
                for r, v, s, bad in zip(rows, vetoes, similarity, refused if same else ~(refused | far), strict=True)
                if bad
            ],
        }
    return report


def speed(pairs: Sequence[Pair], guards: GuardSet, candidates: int = 8) -> dict[str, float]:
    """Return the p50 and p95 cost of one check in microseconds: new texts, `candidates` against one prompt."""
    taken = []
    for i in range(0, min(len(pairs), 4000), candidates):
        prompt = pairs[i].a
        for pair in pairs[i : i + candidates]:
            begin = time.perf_counter_ns()
            guards.check(prompt, pair.b)
            taken.append((time.perf_counter_ns() - begin) / 1000)
    return {"p50_us": float(np.percentile(taken, 50)), "p95_us": float(np.percentile(taken, 95))}


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="guards_eval", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", action="append", default=[], help="labelled pairs; may be given several times")
    parser.add_argument("--guards", default="default", help="default, none, or rule names with commas")
    parser.add_argument("--without", default="", help="rule names with commas, left out of --guards")
    parser.add_argument("--cosines", action="append", default=[], help="file (.npy) to keep a data file's cosines in")
    parser.add_argument("--no-traps", action="store_true", help="leave the project's own table out")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    args = parser.parse_args(argv)
    without = args.without.split(",") if args.without else []
    for name in without:
        get_guard(name)  # says which names there are
    guards = resolve_guards([name for name in resolve_guards(args.guards.split(",")).names if name not in without])
    report: dict[str, Any] = {"data": {}}
    loaded = [(path, load_pairs(path)) for path in args.data]
    for number, (path, pairs) in enumerate(loaded):
        cache = Path(args.cosines[number]) if number < len(args.cosines) else None
        similarity = cosines(pairs, cache)
        vetoes = vetoed_by(pairs, similarity, guards, min(THRESHOLDS))
        parts = {"all": np.ones(len(pairs), bool), **dict(zip(("even rows", "odd rows"), halves(pairs), strict=True))}
        report["data"][Path(path).name] = {
            "speed": speed(pairs, guards),
            **{
                part: evaluate(
                    [p for p, m in zip(pairs, mask, strict=True) if m],
                    similarity[mask],
                    guards,
                    vetoes=[v for v, m in zip(vetoes, mask, strict=True) if m],
                )
                for part, mask in parts.items()
            },
        }
    if not args.no_traps:
        report["traps"] = traps_report(guards)
    if args.json:
        json.dump(report, sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    for name, parts in report["data"].items():
        cost = parts["speed"]
        print(f"\n{name}: a check takes {cost['p50_us']:.0f} us p50, {cost['p95_us']:.0f} us p95")
        print(
            f"{'':10} {'cosine':>7} | {'bare hits':>9} {'wrong':>7} | {'guarded':>8} {'wrong':>7} {'right kept':>10} | "
            f"{'bare at equal hits':>18} {'wrong':>7}"
        )
        for part, rows in parts.items():
            if part == "speed":
                continue
            for row in rows:
                print(
                    f"{part:10} {row['threshold']:>7.2f} | {row['bare_hits']:>9} {_percent(row['bare_wrong']):>7} | "
                    f"{row['guarded_hits']:>8} {_percent(row['guarded_wrong']):>7} {_percent(row['right_kept']):>10} | "
                    f"{row['equal_hits_threshold'] or 0:>18.4f} {_percent(row['equal_hits_wrong']):>7}"
                )
        vetoes = sorted(parts["all"][0]["vetoes"].items(), key=lambda item: -item[1])
        print("vetoes:", ", ".join(f"{rule} {count}" for rule, count in vetoes))
    for name, part in report.get("traps", {}).items():
        print(
            f"\n{name}: {part['pairs']} pairs; refused by guards {_percent(part['refused_by_guards'])}, "
            f"below 0.90 {_percent(part['below_cosine'])}, by either {_percent(part['refused_by_either'])}"
        )
        print(
            "  near and not refused:",
            ", ".join(f"{part['passing'][t]} of {part['near'][t]} at {t}" for t in part["near"]),
        )
        for row in part["not_as_wanted"]:
            print(f"  {row['kind']}: {row['a']!r} / {row['b']!r} ({row['rule']}, {row['cosine']})")


if __name__ == "__main__":
    raise SystemExit(main())
