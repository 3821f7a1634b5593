"""Errors of a PostgreSQL server in plain words, with a remedy; and what an error means."""

from __future__ import annotations

import asyncio

from semantic_llm_cache.backends.postgres.pool import need_asyncpg
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError

__all__ = ["explained", "lost", "missing", "never_sent", "of_server"]

_NAME_NO_VALUES = frozenset(("08", "0A", "25", "3D", "3F", "42", "53", "55", "57", "58", "XX"))
"""Classes of SQLSTATE whose messages name tables, functions and states of the server only."""

_REMEDIES = (
    ("28", "User or password is wrong, or the server's pg_hba.conf keeps this user out."),
    ("3D000", "Create the database, or correct its name in the address."),
    ("42501", "The user lacks a right: it needs CREATE on the database, or a schema of its own named in schema=."),
    ("25006", "This is a replica that only reads: use the primary's address, or target_session_attrs=read-write."),
    ("53300", "The server has no connection left: lower pool_max, raise its max_connections, or use pgbouncer."),
    ("53", "The server is full."),
    ("57P03", "The server is just starting or stopping."),
    ("57014", "The server has ended the statement: see its statement_timeout."),
)


def explained(error: Exception, url: str) -> Exception:
    """Return the error that the caller gets for one of the driver, without anything it may quote."""
    if isinstance(error, CacheSerializationError):
        return error
    if isinstance(error, CacheBackendError):
        return error if str(error).startswith(url) else CacheBackendError(f"{url}: {error}")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        remedy = "Is it overloaded or frozen? timeout= sets how long is waited."
        return CacheBackendError(f"{url}: no answer in time. {remedy}")
    code = getattr(error, "sqlstate", None) or ""
    said = str(error)
    if code.startswith("22") and "invalid input for query argument" in said:
        return CacheSerializationError(f"the entry holds something that cannot be stored ({type(error).__name__})")
    remedy = next((remedy for begin, remedy in _REMEDIES if begin and code.startswith(begin)), "")
    if "prepared statement" in said:
        remedy = "Behind pgbouncer in transaction mode: prepared_statements=False."
    elif '"vector"' in said and code in ("0A000", "58P01", "42501"):
        remedy = (
            "pgvector is missing: install it on the server, and have an administrator of the database run "
            "CREATE EXTENSION vector."
        )
    if not remedy:
        gone = lost(error) or isinstance(error, OSError)
        remedy = "Is the server running, and is this its address?" if gone else "See the server's log."
    return CacheBackendError(f"{url}: {_harmless(error, code)}. {remedy}")


def _harmless(error: Exception, code: str) -> str:
    """Return what may be shown of an error. DETAIL quotes values, and some messages do; others name the user."""
    postgres = need_asyncpg()
    name = type(error).__name__
    if isinstance(error, postgres.PostgresError):
        text = getattr(error, "message", None)
        return f"{text.rstrip('.')} ({code})" if text and code[:2] in _NAME_NO_VALUES else f"{name} ({code})"
    if isinstance(error, OSError):
        return error.strerror or name
    if isinstance(error, postgres.InterfaceError) and not isinstance(error, ValueError):
        return str(error).strip().rstrip(". ").replace("\n", "; ")
    return name  # asyncpg's errors about the address are ValueErrors, and quote parts of it


def of_server(error: BaseException) -> bool:
    """Return whether the server has answered with an error, so that the connection can go on."""
    return isinstance(error, need_asyncpg().PostgresError) and not lost(error)


def lost(error: BaseException) -> bool:
    """Return whether the connection is lost."""
    postgres = need_asyncpg()
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return False
    if isinstance(error, postgres.PostgresError):
        return (error.sqlstate or "")[:2] == "08" or error.sqlstate in ("57P01", "57P02", "57P03")
    return isinstance(error, (OSError, postgres.InterfaceError, postgres.InternalClientError))


def never_sent(error: BaseException) -> bool:
    """Return whether the statement cannot have reached the server."""
    return isinstance(error, need_asyncpg().InterfaceError)


def missing(error: BaseException) -> bool:
    """Return whether a part of the schema is not there (any more), or the extension was moved."""
    code = getattr(error, "sqlstate", None)
    if code == "XX000":  # met in the middle of being dropped, or a plan made before
        return "could not open relation" in str(error) or "cache lookup failed" in str(error)
    # table, function, schema, type, column, key for ON CONFLICT
    return code in ("42P01", "42883", "3F000", "42704", "42703", "42P10")
