"""`semantic-llm-cache demo`: send about 300 labelled prompts through the cache and show the results."""
