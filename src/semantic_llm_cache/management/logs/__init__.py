"""Warming a cache from logs of calls."""
