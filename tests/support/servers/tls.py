"""Right and wrong certificates, and servers that record a client's bytes.

A client is right if it speaks over the certificates that it should take and says nothing at all
over the others: `CASES` names each with whether it is to be taken. For a client that connects to
`HOST`, over TLS from the start:

    with listening(authority.context(case)) as impostor:
        ...  # have the client call https://localhost:{impostor.port}, trusting authority.path
    assert bool(impostor.received) == CASES[case]
"""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"
CASES = {
    "right": True,
    "wrong name": False,
    "self-signed": False,
    "expired": False,
    "another authority": False,
    "no name": False,
    "address only": False,
}
"""Certificates of a server, and whether a client of `HOST` may accept each."""
SECONDS = 10
_SIGNING = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Signer:
    """A certificate authority that signs certificates."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """An authority that clients trust, with valid and invalid server certificates."""

    folder: Path
    signer: Signer
    path: Path
    """The authority's own certificate, for clients to trust."""

    def context(self, case: str) -> ssl.SSLContext:
        """Return a server context with the certificate of ``case``."""
        now = dt.datetime.now(dt.UTC)
        ends = now + dt.timedelta(days=-1 if case == "expired" else 1)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(HOST)
        signer = {
            "self-signed": Signer(subject, key),
            "another authority": Signer(_named("another"), ec.generate_private_key(ec.SECP256R1())),
        }.get(case, self.signer)
        names: dict[str, list[x509.GeneralName]] = {
            "wrong name": [x509.DNSName("other.test")],
            "no name": [],
            "address only": [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        }
        certificate = _signed(subject, key, signer, ends, names.get(case, [x509.DNSName(HOST)]))
        chain = self.folder / f"{case.replace(' ', '-')}.pem"
        chain.write_bytes(_pem(certificate) + _pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def issue(self, path: Path, days: int = 1) -> int:
        """Write a new certificate for `HOST` and its key to ``path``; return its serial number.

        It ends in ``days``.

        The file is put in place at one stroke, as tools that renew certificates do.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        names: list[x509.GeneralName] = [
            x509.DNSName(HOST),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = _signed(_named(HOST), key, self.signer, ends, names)
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(_pem(certificate) + _pem(key))
        beside.replace(path)
        return certificate.serial_number


def serial_shown(port: int, trusted: Path) -> int:
    """Return the serial number of the certificate of a server on this machine."""
    context = ssl.create_default_context(cafile=trusted)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def authority(folder: Path) -> Authority:
    """Create an authority in ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = Signer(_named("authority of the tests"), key)
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    path = folder / "authority.pem"
    path.write_bytes(_pem(_signed(signer.name, key, signer, ends, None)))
    return Authority(folder, signer, path)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: Signer,
    ends: dt.datetime,
    names: list[x509.GeneralName] | None,
) -> x509.Certificate:
    """Return a certificate for ``names``, or a CA certificate if they are None."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=3))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
    )
    if names is None:
        builder = builder.add_extension(_SIGNING, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer.key, hashes.SHA256())


def _pem(thing: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass
class Listener:
    """A server, and the bytes that it received over TLS."""

    port: int
    connections: int = 0
    received: bytes = b""
    done: threading.Event = field(default_factory=threading.Event)
    """Set when a connection has ended, successfully or not."""


Opening = Callable[[socket.socket], None]
"""The plain-text exchange before TLS, in protocols that start without it."""


@contextmanager
def listening(context: ssl.SSLContext, opening: Opening | None = None) -> Iterator[Listener]:
    """Accept connections on 127.0.0.1, record their bytes, and answer nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    listener = Listener(server.getsockname()[1])
    thread = threading.Thread(target=_serve, args=(server, context, opening, listener))
    thread.start()
    try:
        yield listener
        # All that the client has sent is read before the test checks it.
        assert listener.done.wait(SECONDS), "nobody connected"
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(SECONDS)


def _serve(
    server: socket.socket, context: ssl.SSLContext, opening: Opening | None, listener: Listener
) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        listener.connections += 1
        connection.settimeout(SECONDS)
        with suppress(OSError), connection:
            if opening is not None:
                opening(connection)
            with context.wrap_socket(connection, server_side=True) as secure:
                listener.received += secure.recv(2**16)
        listener.done.set()


@contextmanager
def tunnelling() -> Iterator[str]:
    """Run an HTTP proxy that supports only CONNECT, and yield its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_tunnel_all, args=(server,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(SECONDS)


def _tunnel_all(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.settimeout(SECONDS)
            target = client.recv(2**16).split()[1].decode()
            with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as end:
                end.settimeout(SECONDS)
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_copy, args=(end, client))
                back.start()
                _copy(client, end)
                back.join(SECONDS)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
