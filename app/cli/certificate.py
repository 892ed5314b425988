"""Makes a short-lived certificate for this machine, signed by a throw-away authority."""

import datetime as dt
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 7
NAMES = (
    x509.DNSName("localhost"),
    x509.IPAddress(ip_address("127.0.0.1")),
    x509.IPAddress(ip_address("::1")),
)
_USAGE = {
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


@dataclass(frozen=True, slots=True)
class ThrowawayFiles:
    """PEM files of a certificate that only clients on this machine should trust."""

    authority: Path
    """The authority that clients trust. Its key was never written, so it can sign nothing more."""
    certificate: Path
    """The service's certificate, with its key in the same file."""


def throwaway(folder: Path) -> ThrowawayFiles:
    """Write both files into ``folder``, which is created if it is missing. Raises OSError."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate(None, authority_key, authority_key)
    certificate = _certificate(authority, authority_key, key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = ThrowawayFiles(folder / "authority.pem", folder / "certificate.pem")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(files.authority, authority.public_bytes(pem))
    _write(files.certificate, certificate.public_bytes(pem) + secret)
    return files


def _certificate(
    authority: x509.Certificate | None,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Return this machine's certificate; if ``authority`` is None, that of a new authority."""
    text = "localhost" if authority else "throw-away authority of llama-vision"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    now = dt.datetime.now(dt.UTC)
    signs = authority is None
    builder = (
        x509.CertificateBuilder(issuer_name=authority.subject if authority else subject)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=signs, crl_sign=signs, **_USAGE),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    if authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
