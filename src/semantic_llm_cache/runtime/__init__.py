"""Loops, threads and forks, independent of caches."""
