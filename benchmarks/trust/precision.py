"""The model in 8 bits beside fp32: how near its vectors are, and whether the same prompts become hits.

    python -m benchmarks.trust.precision --pairs qqp_pairs.tsv [--streams FOLDER] [--count 5000]

`--pairs` is a tab separated file with the columns `text_a`, `text_b` and `label`: the first `--count` different texts
are embedded in both precisions, one batch after the other, and 500 of them alone too; then the pairs are decided at
three thresholds. `--streams` is a folder with `clinc150.jsonl` and `qqp_stream.jsonl`: the streams are run through a
cache at the same thresholds. Rates are shares of all requests (pairs), in percent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.trust.guards_eval import THRESHOLDS, load_pairs
from benchmarks.trust.stream import Array, Stream, load_streams, run_threshold
from semantic_llm_cache.similarity import OnnxEmbeddingProvider
from semantic_llm_cache.similarity.onnx import PRECISION_ENV

ALONE = 500


def embed(provider: OnnxEmbeddingProvider, texts: Sequence[str]) -> Array:
    """Return the vectors of `texts`, computed in batches of texts of like length."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), provider.dimension), dtype=np.float32)
    for first in range(0, len(texts), 64):
        part = order[first : first + 64]
        vectors[part] = provider.encode_batch([texts[i] for i in part])
    return vectors


def show_cosines(texts: Sequence[str], fp32: OnnxEmbeddingProvider, int8: OnnxEmbeddingProvider) -> None:
    """Print how near the vectors are to those of full precision, and alone to those in a batch."""
    ours = embed(int8, texts)
    cosines = (ours.astype(np.float64) * embed(fp32, texts)).sum(axis=1)
    worst = np.argsort(cosines)[:3]
    print(f"{len(texts)} texts, cosine to fp32: lowest {cosines.min():.5f}, one in a thousand below ", end="")
    print(f"{np.quantile(cosines, 0.001):.5f}, mean {cosines.mean():.5f}; {np.sum(cosines < 0.999)} below .999")
    print("  lowest:", "; ".join(f"{cosines[i]:.5f} {texts[i][:60]!r}" for i in worst))
    alone = np.stack([int8.encode(text) for text in texts[:ALONE]])
    print(f"  alone against in a batch, {len(alone)} texts: lowest {(alone * ours[:ALONE]).sum(axis=1).min():.7f}")


def show_pairs(path: str, fp32: OnnxEmbeddingProvider, int8: OnnxEmbeddingProvider) -> None:
    """Print the share of pairs that match, and that match wrongly."""
    pairs = load_pairs(path)
    texts = list(dict.fromkeys(text for pair in pairs for text in pair[:2]))
    at = {text: i for i, text in enumerate(texts)}
    left, right = (np.array([at[pair[side]] for pair in pairs]) for side in (0, 1))
    different = ~np.array([pair.same for pair in pairs])
    print(f"{Path(path).name}, {len(pairs)} pairs")
    found = []
    for provider in (fp32, int8):
        vectors = embed(provider, texts)
        found.append((vectors[left] * vectors[right]).sum(axis=1))
    for threshold in THRESHOLDS:
        hits = [cosines >= threshold - 1e-6 for cosines in found]
        show_rates(threshold, *((hit.mean(), (hit & different).mean()) for hit in hits))


def show_rates(threshold: float, fp32: tuple[float, float], int8: tuple[float, float]) -> None:
    """Print hits and wrong hits of both precisions and the differences."""
    parts = [
        f"{what} {100 * a:.2f} -> {100 * b:.2f} ({100 * (b - a):+.2f})"
        for what, a, b in zip(("hits", "wrong"), fp32, int8, strict=True)
    ]
    print(f"  {threshold:.2f}: {', '.join(parts)}")


def show_streams(folder: Path, int8: OnnxEmbeddingProvider) -> None:
    """Print the rates of two streams, each in one random order."""
    for exact in load_streams(folder, ("clinc150", "qqp")):  # embedded by the default provider, in fp32
        print(f"{exact.name}, {len(exact.prompts)} requests", flush=True)
        rough = Stream(exact.name, exact.prompts, exact.answers, embed(int8, exact.prompts), exact.order)
        order = exact.order(np.random.default_rng(0))
        for threshold in THRESHOLDS:
            outcomes = [run_threshold(stream, threshold, order) for stream in (exact, rough)]
            show_rates(threshold, *((outcome.hit_rate, outcome.wrong_rate) for outcome in outcomes))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", required=True, metavar="FILE", help="tab separated: text_a, text_b, label")
    parser.add_argument("--streams", type=Path, metavar="FOLDER", help="holds clinc150.jsonl and qqp_stream.jsonl")
    parser.add_argument("--count", type=int, default=5000, metavar="N", help="texts to compare; default 5,000")
    options = parser.parse_args()
    if OnnxEmbeddingProvider().precision != "fp32":
        raise SystemExit(f"unset {PRECISION_ENV}: the streams are embedded in fp32 first")
    fp32, int8 = (OnnxEmbeddingProvider(precision=name) for name in ("fp32", "int8"))
    int8.load()
    if int8.precision != "int8":
        raise SystemExit("the 8-bit model does not work on this machine: see the warning above")
    texts = list(dict.fromkeys(text for pair in load_pairs(options.pairs) for text in pair[:2]))
    show_cosines(texts[: options.count], fp32, int8)
    show_pairs(options.pairs, fp32, int8)
    if options.streams is not None:
        show_streams(options.streams, int8)


if __name__ == "__main__":
    main()
