"""`python -m semantic_llm_cache` is the command `semantic-llm-cache`."""

import sys

from semantic_llm_cache.cli import main

if __name__ == "__main__":
    sys.exit(main())
