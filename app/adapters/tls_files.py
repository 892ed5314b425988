"""PEM files of a certificate, its key and the authorities of clients, read into TLS contexts."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

Fingerprint = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change of each file; None for one that is not there."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the server's certificate, and the authorities of its clients' certificates."""

    certificate: Path
    key: Path | None
    """None if the key is in the certificate's file."""
    client_authorities: Path | None
    """None if clients need no certificate."""

    def context(self) -> ssl.SSLContext:
        """Return a server's side of TLS 1.2 and newer; raise OSError or ValueError.

        The error names the file at fault: in OSError's ``filename``, in ValueError's text.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        self._show_certificate(context)
        if self.client_authorities is not None:
            self._ask_for_certificates(context, self.client_authorities)
        return context

    def fingerprint(self) -> Fingerprint:
        """Return a value that differs once a file was changed, replaced or linked anew."""
        paths = (self.certificate, self.key, self.client_authorities)
        return tuple(None if path is None else _state(path) for path in paths)

    def _show_certificate(self, context: ssl.SSLContext) -> None:
        key = self.key or self.certificate
        for path in (self.certificate, key):
            path.open("rb").close()  # OpenSSL's own error does not say which file is missing.

        def encrypted() -> NoReturn:
            # OpenSSL would ask for the password on the terminal.
            raise ValueError(f"{key}: the key has a password; the service needs one without")

        try:
            context.load_cert_chain(self.certificate, key, password=encrypted)
        except ssl.SSLError as error:
            reason = error.reason or "not PEM, or no certificate and key in it"
            raise ValueError(
                f"{self.certificate} with the key in {key}: {reason.replace('_', ' ').lower()}"
            ) from error

        _check_dates(self.certificate)

    def _ask_for_certificates(self, context: ssl.SSLContext, authorities: Path) -> None:
        authorities.open("rb").close()
        try:
            context.load_verify_locations(authorities)
        except ssl.SSLError as error:
            raise ValueError(f"{authorities}: no certificate of an authority is in it") from error
        context.verify_mode = ssl.CERT_REQUIRED
        # A session that is resumed shows no certificate: one whose authority is no longer taken
        # would go on for as long as its ticket.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0


def _check_dates(path: Path) -> None:
    """Raise ValueError for a certificate that is not valid today."""
    # Imported if there is one: it takes time to load.
    from cryptography.x509 import load_pem_x509_certificates

    certificate = load_pem_x509_certificates(path.read_bytes())[0]
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= (now := datetime.now(UTC)) <= ends:
        raise ValueError(
            f"{path}: the certificate counts from {begins:%Y-%m-%d %H:%M} to "
            f"{ends:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
        )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
