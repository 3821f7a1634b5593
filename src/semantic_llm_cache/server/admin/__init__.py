"""The admin API over HTTP: JSON in and out, described by an OpenAPI document."""

from semantic_llm_cache.server.admin.routes import admin_routes

__all__ = ["admin_routes"]
