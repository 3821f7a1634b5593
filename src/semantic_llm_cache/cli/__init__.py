"""The command `semantic-llm-cache`: look into a cache, manage it, and see one at work."""

from semantic_llm_cache.cli.app import main

__all__ = ["main"]
