"""The cache as a server: a proxy in front of model providers, for programs in any language.

``semantic-llm-cache serve`` runs it; `create_app` makes it an ASGI app, and `app` is the one that the environment
describes. See ``docs/proxy.md``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semantic_llm_cache.server.application import Server, app, create_app
    from semantic_llm_cache.server.loading import ServerSettingsError, load_settings
    from semantic_llm_cache.server.settings import Settings

__all__ = ["Server", "ServerSettingsError", "Settings", "app", "create_app", "load_settings"]

_PLACES = {
    "Server": "application",
    "ServerSettingsError": "loading",
    "Settings": "settings",
    "app": "application",
    "create_app": "application",
    "load_settings": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: Any = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
