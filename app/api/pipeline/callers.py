"""Tells callers apart before they are authenticated, to share the service among them."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

from app.api.pipeline.authorization import credential
from app.api.routing.headers import Headers

KNOWN = 4096
"""Credentials remembered, at 200 bytes each; the one used longest ago is forgotten first."""


@dataclass(slots=True)
class Callers:
    """Tells callers apart by credentials known to be valid, else by address.

    A made-up key for each request would else be a caller of its own each time.
    """

    authenticates: bool
    """Whether the service requires credentials."""
    _known: OrderedDict[bytes, str] = field(default_factory=OrderedDict)
    """Share names of valid credentials, by the credentials' digests."""

    def share(self, headers: Headers, address: str) -> str:
        """Return the name that the request is counted under; empty without an address."""
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
        """Remember that the request's credential is valid."""
        if not self.authenticates:
            return
        sent = credential(headers)
        if not sent:
            return
        digest = blake2b(sent.encode("latin-1"), digest_size=16).digest()
        self._known[digest] = f"credential {digest.hex()}"
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
