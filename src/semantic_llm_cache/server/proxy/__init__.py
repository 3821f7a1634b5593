"""The proxy: an ASGI app that answers model calls from the cache and passes everything else on."""
