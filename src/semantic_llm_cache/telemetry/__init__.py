"""Metrics, traces and logs of what the caches of a process do: `prometheus`, `otel`, `events`."""
