"""Who asks: the tenant of a request, from its credential or from a trusted proxy in front."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.server.proxy.headers import Head
from semantic_llm_cache.server.proxy.refusals import Refusal

__all__ = ["Tenant", "Tenants"]

_MOST_KNOWN = 1024
_LONGEST_NAME = 200


class Tenant:
    """Who asks.

    Args:
        name: as configured, or as a trusted proxy gave it; None where the credential alone counts.
        kind: ``"tenant"`` or ``"header"``: who gave the name.
        credential: of the caller; ``b""`` for none.

    Attributes:
        scope: what counts in the key in place of the credential; None where the credential itself counts.
    """

    __slots__ = ("_credential", "_name", "scope")

    def __init__(self, name: str | None, kind: str = "", credential: bytes = b"") -> None:
        self._name = name
        self._credential = credential
        self.scope = None if name is None else f"{kind} {name}"

    @property
    def label(self) -> str:
        """Names the tenant to people: its name, or the beginning of a keyed hash of its credential."""
        if self._name is not None:
            return self._name
        return secret_hash(self._credential)[:12] if self._credential else "anonymous"


class Tenants:
    """Finds the tenant of a request.

    Args:
        keys: names of tenants by the SHA-256 (hex) of their keys.
        header: a header in which a trusted proxy names the tenant, in lower case; ``""`` for none.
        trusted: addresses and networks of the proxies that may do so.
        only_known: refuse requests of tenants that neither `keys` nor the header names.
    """

    def __init__(
        self, keys: Mapping[str, str], header: str = "", trusted: Iterable[str] = (), only_known: bool = False
    ) -> None:
        self._keys = {digest.lower(): name for digest, name in keys.items()}
        self._header = header.encode()
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in trusted]
        self._only_known = only_known
        self._seen: dict[str, bool] = {}

    @property
    def dropped(self) -> frozenset[bytes]:
        """Headers that are only for this server, and not sent on."""
        return frozenset({self._header}) if self._header else frozenset()

    def of(self, head: Head, peer: str | None) -> Tenant:
        """Return the tenant of a request.

        Args:
            head: of the request.
            peer: the address of who opened the connection, None where it is not known.

        Raises:
            Refusal: 401 for a tenant that is not known where only known ones are served; 400 for a tenant header
                that is given twice or is too long, and for the keys of two tenants.
        """
        if self._header and peer is not None and self._is_trusted(peer):
            named = [value for name, value in head.counting if name == self._header]
            if named:
                return self._named(named)
        if self._keys:
            digests = (hashlib.sha256(_token(value)).hexdigest() for value in head.credentials)
            names = {self._keys[digest] for digest in digests if digest in self._keys}
            if len(names) > 1:  # the order of headers must not decide
                raise Refusal(400, "the request has the keys of two tenants: send one")
            if names:
                return Tenant(names.pop(), "tenant")
        if self._only_known:
            raise Refusal(401, "this key is not known here: ask who runs this proxy for one")
        return Tenant(None, credential=b"\n".join(head.credentials))

    def _named(self, values: list[bytes]) -> Tenant:
        if len(values) > 1 or not 0 < len(values[0]) <= _LONGEST_NAME:
            raise Refusal(400, f"the header {self._header.decode()} must name one tenant, in {_LONGEST_NAME} bytes")
        return Tenant(values[0].decode("latin-1"), "header")

    def _is_trusted(self, peer: str) -> bool:
        known = self._seen.get(peer)
        if known is None:
            try:
                address = ipaddress.ip_address(peer)
            except ValueError:  # a Unix socket
                return False
            address = getattr(address, "ipv4_mapped", None) or address
            known = any(address in network for network in self._trusted)
            if len(self._seen) >= _MOST_KNOWN:
                self._seen.clear()
            self._seen[peer] = known
        return known


def _token(value: bytes) -> bytes:
    scheme, separator, token = value.partition(b" ")
    return token.strip() if separator and scheme.lower() == b"bearer" else value.strip()
