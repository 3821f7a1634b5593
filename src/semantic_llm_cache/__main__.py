"""`python -m semantic_llm_cache`: the same as the command `semantic-llm-cache`."""

from semantic_llm_cache.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
