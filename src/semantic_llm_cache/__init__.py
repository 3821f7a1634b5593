"""A semantic cache for LLM calls."""
