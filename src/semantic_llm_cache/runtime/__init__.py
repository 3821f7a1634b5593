"""Loops, threads and forks. Knows nothing of caches."""
