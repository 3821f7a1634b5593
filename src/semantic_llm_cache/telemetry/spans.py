"""The names of spans and their attributes, with one line on each, for `otel` and ``docs/metrics.md``."""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "PREFIX", "SPANS"]

PREFIX = "semantic_llm_cache."

SPANS: dict[str, tuple[str, str]] = {
    "semantic_llm_cache.lookup": ("internal", "The whole call, until the caller has the answer."),
    "semantic_llm_cache.embed": ("client", "Embedding the text."),
    "semantic_llm_cache.search": ("internal", "Searching the storage for near entries."),
    "semantic_llm_cache.decide": ("internal", "Deciding about them: guards, verifier, error budget."),
    "semantic_llm_cache.call": ("internal", "The function that a miss called."),
}
"""Kind and meaning."""

_ALL = "lookup"

ATTRIBUTES: dict[str, tuple[str, str]] = {
    "semantic_llm_cache.outcome": (_ALL, "As in `Lookup`."),
    "semantic_llm_cache.tier": (_ALL, "`exact` or `near` when an entry was served."),
    "semantic_llm_cache.namespace": (_ALL, "The namespace, in full."),
    "semantic_llm_cache.category": (_ALL, "The category of the prompt, if it has one."),
    "semantic_llm_cache.lookup_id": (_ALL, "`Lookup.id`, for `report_wrong`."),
    "semantic_llm_cache.similarity": (_ALL, "Cosine to the matched prompt, or on a miss to the nearest."),
    "semantic_llm_cache.age": (_ALL, "Seconds since the served answer was stored."),
    "semantic_llm_cache.stored": (_ALL, "Whether a fresh answer was stored."),
    "semantic_llm_cache.stored_reason": (_ALL, "The word that says why it was not stored."),
    "semantic_llm_cache.saved.duration": (_ALL, "Seconds that a hit saved."),
    "semantic_llm_cache.saved.cost": (_ALL, "USD that a hit saved."),
    "semantic_llm_cache.saved.input_tokens": (_ALL, "Input tokens that a hit saved."),
    "semantic_llm_cache.saved.output_tokens": (_ALL, "Output tokens that a hit saved."),
    "semantic_llm_cache.would": (_ALL, "In shadow mode, the outcome that the cache would have had."),
    "semantic_llm_cache.would_be_right": (
        _ALL,
        "In shadow mode, whether its answer agreed, if known when the call ends.",
    ),
    "semantic_llm_cache.prompt": (_ALL, "The prompt; only with `prompts=True`."),
    "semantic_llm_cache.matched_prompt": (_ALL, "The matched or nearest prompt; only with `prompts=True`."),
    "semantic_llm_cache.reason": (_ALL, "`Lookup.reason`, which may quote them; only with `prompts=True`."),
    "error.type": ("lookup, call", "The type of what was raised."),
    "gen_ai.operation.name": ("embed", "`embeddings`"),
    "gen_ai.request.model": ("embed", "The fingerprint of the embedder."),
    "gen_ai.embeddings.dimension.count": ("embed", "The length of its vectors."),
}
"""On which spans, and meaning."""
