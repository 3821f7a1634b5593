"""The vocabulary of one call: its lookup, its settings, its cache control, its context."""
