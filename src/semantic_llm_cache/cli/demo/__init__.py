"""`semantic-llm-cache demo`: some 300 labelled prompts through the cache, and what came of them."""
