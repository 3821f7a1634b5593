"""Reads the settings of the server: flags prevail over the environment, that over the TOML file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from semantic_llm_cache.arguments import unknown
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.server.settings import RuleSettings, Settings, TenantSettings, UpstreamSettings

__all__ = ["CONFIG_VARIABLE", "HANDOVER_VARIABLE", "PREFIX", "ServerSettingsError", "load_settings"]

PREFIX = "SEMANTIC_LLM_CACHE_SERVER_"
"""Of the environment variables: ``SEMANTIC_LLM_CACHE_SERVER_PORT``."""

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Names the TOML file."""

HANDOVER_VARIABLE = f"{PREFIX}HANDOVER"
"""Holds the settings as JSON for the worker processes that `serve` starts. It prevails over everything else."""

_TABLES: dict[str, type[BaseModel]] = {"upstream": UpstreamSettings, "tenants": TenantSettings, "rules": RuleSettings}


class ServerSettingsError(PromptCacheError, ValueError):
    """The settings of the server cannot be used; the message has a line for each key that is wrong."""


def load_settings(flags: Mapping[str, Any] | None = None, config: str | None = None) -> Settings:
    """Return the settings.

    Args:
        flags: from the command line, by the names of the settings.
        config: path of a TOML file; None takes the variable ``SEMANTIC_LLM_CACHE_SERVER_CONFIG``, if it is set.

    Raises:
        ServerSettingsError: naming each key that is not known or whose value cannot be used, and where it is from.
    """
    handed = os.environ.get(HANDOVER_VARIABLE)
    if handed is not None and flags is None and config is None:
        return Settings.model_validate_json(handed)
    path = config if config is not None else os.environ.get(CONFIG_VARIABLE)
    sources: dict[str, str] = {}
    found: dict[str, Any] = {}
    for source, given in (
        (str(path), {} if path is None else _file(path)),
        ("the environment", _environment()),
        ("the command line", _decoded(flags or {})),
    ):
        found.update(given)
        sources.update(dict.fromkeys(given, source))
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        raise ServerSettingsError("\n".join(_lines(error, sources))) from None


def _file(path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return found
    except OSError as error:
        raise ServerSettingsError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise ServerSettingsError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ServerSettingsError(f"{path} is not TOML: {error}") from None


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, HANDOVER_VARIABLE):
            continue
        name = variable[len(PREFIX) :].lower()
        field = Settings.model_fields.get(name)
        if field is None:
            raise ServerSettingsError(f"{variable}: {unknown('setting', name, Settings.model_fields)}")
        found[name] = _value(variable, text, name)
    return found


def _decoded(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _value(f"--set {name}", value, name)
        if isinstance(value, str) and name in Settings.model_fields
        else value
        for name, value in flags.items()
    }


def _value(variable: str, text: str, name: str) -> Any:
    """Return the value of a variable: lists are separated by commas, tables are JSON."""
    default = Settings.model_fields[name].get_default()
    several = isinstance(default, list) or name == "guards"
    if (several or isinstance(default, dict) or name == "upstream") and text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ServerSettingsError(f"{variable} is not JSON") from None
    if several:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


_NO_UPSTREAM = (
    f'no upstream is given: pass --upstream URL, set {PREFIX}UPSTREAM, or write upstream = "URL" into the file'
)


def _lines(error: ValidationError, sources: Mapping[str, str]) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = [str(part) for part in fault["loc"]]
        about = place[0] if place else fault["msg"].removeprefix("Value error, ").split()[0].rstrip(":")
        source = f"{sources[about]}: " if about in sources else ""
        if fault["type"] == "extra_forbidden":
            text = unknown("setting", place[-1], _known(place[:-1]))
            place = place[:-1]
        elif place == ["upstream"] and fault["type"] == "missing":
            lines.append(_NO_UPSTREAM)
            continue
        elif fault["type"] == "missing":
            text = "is missing"
        else:
            text = fault["msg"].removeprefix("Value error, ")
        where = ".".join(part for part in place if not part.startswith(("function-", "lax-")))
        lines.append(f"{source}{where}: {text}" if where else f"{source}{text}")
    return lines


def _known(place: list[str]) -> list[str]:
    model = _TABLES.get(place[0], Settings) if place else Settings
    return list(model.model_fields)
