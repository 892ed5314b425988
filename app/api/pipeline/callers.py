"""Identifies callers before they are authenticated, to share the service fairly among them."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

from app.api.pipeline.authorization import credential
from app.api.routing.headers import Headers

KNOWN = 4096
"""Maximum credentials remembered, at 200 bytes each; the least recently used one goes first."""


@dataclass(slots=True)
class Callers:
    """Identifies callers by credentials that were valid before, otherwise by address.

    Otherwise each made-up key would count as a caller of its own.
    """

    authenticates: bool
    """Whether the service requires credentials."""
    _known: OrderedDict[bytes, str] = field(default_factory=OrderedDict)
    """Names of the callers with valid credentials, by the credentials' digests."""

    def share(self, headers: Headers, address: str) -> str:
        """Return the name under which the request is queued; empty without an address."""
        if not self.authenticates:
            return address
        sent = credential(headers)
        if not sent:
            return address
        digest = blake2b(sent.encode("latin-1"), digest_size=16).digest()
        known = self._known.get(digest)
        if known is None:
            return address
        self._known.move_to_end(digest)
        return known

    def note(self, headers: Headers) -> None:
        """Remember that the request's credentials are valid."""
        if not self.authenticates:
            return
        sent = credential(headers)
        if not sent:
            return
        digest = blake2b(sent.encode("latin-1"), digest_size=16).digest()
        self._known[digest] = f"credential {digest.hex()}"
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
