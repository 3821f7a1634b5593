"""The stored form of an answer."""
