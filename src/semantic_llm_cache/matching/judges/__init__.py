"""Judges beside the default one: a chat model, a cross-encoder, a model for natural language inference."""
