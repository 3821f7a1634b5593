"""Ways into the cache: the decorator, methods, and a cached chat."""
