"""The dashboard: pages that show what the admin API answers. Needs the extra `server`."""

from semantic_llm_cache.server.dashboard.routes import dashboard_routes

__all__ = ["dashboard_routes"]
