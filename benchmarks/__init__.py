"""Benchmarks: `python -m benchmarks`. What they measure and how is in docs/benchmarks.md."""
