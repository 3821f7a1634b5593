"""The proxy under load: hits against a bare app and LiteLLM's proxy, slow streams, and a soak with faults."""
