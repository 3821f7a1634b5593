"""Errors of a Redis server in plain words, with a remedy."""

from __future__ import annotations

import re

from semantic_llm_cache.exceptions import CacheBackendError

__all__ = ["ServerError", "explained", "said_by"]


class ServerError(CacheBackendError):
    """A server, or the way to it, has failed.

    Attributes:
        said: the words of the server or the driver, for our code to read. They may quote arguments, prompts
            among them, so they are never shown.
    """

    said = ""


def said_by(error: CacheBackendError) -> str:
    """Return what the server said, for our code to read and never to show."""
    return error.said if isinstance(error, ServerError) else str(error)


def explained(error: Exception, url: str) -> CacheBackendError:
    """Return the error that the caller gets for one of the driver, without anything it may quote."""
    if isinstance(error, CacheBackendError):
        return error
    name, said = type(error).__name__, str(error)
    code = _CODES.get(name, "")  # redis-py cuts the code off where it has a class for it
    if code not in said:
        said = f"{code} {said}"
    word, remedy = next(((word, remedy) for word, remedy in _REMEDIES if word in said), ("", ""))
    text = " ".join(dict.fromkeys(part for part in (code, word) if part)) or name
    if not remedy:
        if "Timeout" in name:
            text, remedy = "no answer in time", "Is it overloaded or frozen? timeout= sets how long is waited."
        elif "Connection" in name or isinstance(error, OSError):
            remedy = "Is the server running, and is this its address?"
            if _HARMLESS.match(said):
                text = said.rstrip(". ")
        else:
            remedy = "See the server's log."
    result = ServerError(f"{url}: {text}. {remedy}")
    result.said = said
    return result


# What redis-py says of a connection. Other texts may quote what was sent.
_HARMLESS = re.compile(r"Error -?\d+ (?:connecting|while) |Connection (?:closed|lost)|No master found for ")

_CODES = {
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "ClusterCrossSlotError": "CROSSSLOT",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
}

_REMEDIES = (
    ("OOM", "The server is full: raise its maxmemory, or set maxmemory-policy to allkeys-lru so that it evicts."),
    ("READONLY", "This is a replica: use the primary's address, or redis+sentinel:// to be led to it."),
    ("MOVED", "This server is a node of a cluster: write redis+cluster:// in the address."),
    ("CROSSSLOT", "This server is part of a cluster: write redis+cluster:// in the address."),
    ("CLUSTERDOWN", "The cluster does not serve all of its slots: see CLUSTER INFO."),
    ("invalid username-password", "User or password is wrong."),
    ("WRONGPASS", "User or password is wrong."),
    ("NOAUTH", "It wants a password: redis://user:password@host."),
    ("NOPERM", "Its user may not do this: it needs all commands but @dangerous on keys under the prefix."),
    ("MISCONF", "The server cannot write to its disk, so it takes no writes."),
    ("LOADING", "The server has just started and is reading its data."),
    ("MASTERDOWN", "This replica has lost its primary."),
    ("BUSY", "A script has been running for long: see the server's SLOWLOG."),
    ("unknown command", "This server does not have that command: search='auto' finds out what it has."),
    ("Unknown Redis command", "This server does not have that command: search='auto' finds out what it has."),
)
