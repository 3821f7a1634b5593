"""Real servers for tests and benchmarks, without containers: `python -m scripts.servers start`."""
