"""The security headers of every answer, and the names of the headers that CORS exposes."""

from collections.abc import Iterable

CORS_ANSWER_HEADERS = (
    "Age",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Receipt",
    "Retry-After",
    "X-Cost-Usd",
    "X-Cost-Usd-Basis",
    "X-Cost-Usd-Input",
    "X-Cost-Usd-Output",
    "X-Cost-Usd-Saved",
    "X-Cost-Usd-Window",
    "X-Ignored-Parameters",
    "X-Image-Report",
    "X-Request-Id",
    "X-Should-Retry",
    "X-Warnings",
)

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Answers are about someone's pictures, so intermediate caches must not keep them.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# Swagger UI needs a script and styles within its page.
_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'"
)


_POLICY = b"content-security-policy"
_SECURITY = tuple(
    (name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
)
_SECURITY_NAMES = frozenset(dict(_SECURITY))

Pairs = Iterable[tuple[bytes, bytes]]


def completed(answered: Pairs, own: Pairs) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers, with those of ``own`` and `SECURITY_HEADERS` that it lacks."""
    headers = list(answered)
    names = dict(headers)
    headers += [pair for pair in own if pair[0] not in names]
    if names.get(b"content-type", b"").startswith(b"text/html"):
        names[_POLICY] = b""
        headers.append((_POLICY, _DOCS_POLICY.encode()))
    if _SECURITY_NAMES.isdisjoint(names):
        return [*headers, *_SECURITY]
    return [*headers, *(pair for pair in _SECURITY if pair[0] not in names)]
