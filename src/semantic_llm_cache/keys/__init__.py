"""How a call becomes a key: fingerprints, messages, requests. See docs/keys.md."""
