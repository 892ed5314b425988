"""TLS trust of this service's clients: a certificate has to name the host."""

import ssl
from pathlib import Path

import httpx


def trusted(authorities: str | Path | None = None) -> ssl.SSLContext:
    """Return a client's TLS context that trusts the ``authorities`` in a file, or the usual ones.

    The usual ones are those of OpenSSL's own variables, ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``,
    else certifi's.
    """
    if authorities is None:
        return strict(httpx.create_ssl_context())
    return strict(ssl.create_default_context(cafile=authorities))


def strict(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have ``context`` look for the host among a certificate's alternative names alone.

    OpenSSL would take the common name where there are none, which has not been a name's place
    since RFC 2818 and which no browser reads any more.
    """
    context.hostname_checks_common_name = False
    return context
