"""Which client certificates an `ssl.SSLContext` presents.

A certificate can identify a caller, and the `ssl` module has no way to read it back from a context.
So we make the context present it: a TLS handshake with ourselves, in memory, in which our own server takes
the certificate from the context, as a server with several host names does. Nothing is sent, and the
context stays as it is.

Whether servers are verified also counts (`client_forms`): an unverified one may have been anybody. The other settings
(trusted authorities, ciphers, versions) say whom the client trusts, not who the client is.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError

__all__ = ["client_certificates", "is_context"]

_ROUNDS = 10
_KINDS = ("RSA", "ECDSA")  # the latter also for keys of Edwards curves; a context may hold one of each
_known: weakref.WeakKeyDictionary[Any, tuple[bytes | None, ...]] = weakref.WeakKeyDictionary()


def is_context(kind: type) -> bool:
    """Return whether `kind` is exactly `ssl.SSLContext`."""
    return (kind.__module__, kind.__qualname__) == ("ssl", "SSLContext") and kind is getattr(
        sys.modules.get("ssl"), "SSLContext", None
    )


def client_certificates(context: Any) -> tuple[bytes | None, ...]:
    """Return the certificates that `context` presents, in DER, one for each kind of key; None for a kind without one.

    A context is read once, when first seen. A certificate that is loaded into it later is not noticed.

    Raises:
        CacheKeyError: the certificates cannot be determined.
    """
    found = _known.get(context)
    if found is None:
        found = _known[context] = tuple(_certificate(context, kind) for kind in _KINDS)
    return found


def _certificate(context: Any, kind: str) -> bytes | None:
    import ssl

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sni_callback = lambda connection, name, _: setattr(connection, "context", context)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_ciphers(f"a{kind}:@SECLEVEL=0")
    # In TLS 1.2 the cipher depends on the certificate: without one, no cipher can be agreed on.
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="client.invalid")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        return _shake_hands(ours, theirs)
    except ssl.SSLError as error:
        # The result is only valid if the server did take over the context, which its ciphers show.
        shared = [name for name, *_ in theirs.shared_ciphers() or ()]
        if error.reason == "NO_SHARED_CIPHER" and any(f"-{kind}-" in name for name in shared):
            return None
        raise _unreadable(str(error.reason)) from None
    except (AttributeError, NotImplementedError, OSError, ValueError) as error:
        raise _unreadable(type(error).__name__) from None


def _shake_hands(ours: Any, theirs: Any) -> bytes:
    import ssl

    for _ in range(_ROUNDS):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if side is ours:
                found: bytes = ours.getpeercert(binary_form=True)
                return found
    raise _unreadable("no end of the handshake")


def _unreadable(reason: str) -> CacheKeyError:
    return CacheKeyError(f"is an ssl.SSLContext whose client certificate cannot be read ({reason})")
