"""The service's own TLS, over sockets: certificates, their replacement, mutual TLS."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.server import event_loop
from app.server.serving import Server
from app.settings import PREFIX, Settings, SettingsError
from app.wiring.preflight import check
from fixtures.process import ROOT, Running
from tests.support.files.pictures import DATA
from tests.support.servers.tls import Authority, authority, serial_shown
from tests.support.service.application import Rig
from tests.support.service.serve_command import start
from tests.support.service.worker_processes import service, until

BODY = {"prompt": "Why?"}


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@pytest.fixture
def certificate(tmp_path: Path, trusted: Authority) -> Path:
    path = tmp_path / "service.pem"
    trusted.issue(path)
    return path


def another_authority(folder: Path) -> Authority:
    folder.mkdir()
    return authority(folder)


def caller(process: Running, trusted: Authority, shown: Path | None = None) -> httpx.Client:
    context = ssl.create_default_context(cafile=trusted.path)
    if shown is not None:
        context.load_cert_chain(shown)
    return httpx.Client(base_url=process.url, verify=context, timeout=30)


def port(process: Running) -> int:
    return int(process.url.rpartition(":")[2])


@contextmanager
def secure(
    emulator_url: str, certificate: Path, fault: str = "", workers: int = 1, **settings: object
) -> Iterator[Running]:
    named = {"tls_certificate_file": certificate, "tls_reload": 0.05, **settings}
    with service(emulator_url, fault, workers, **named) as process:
        yield process


SEVERAL = pytest.param(2, marks=pytest.mark.long)
"""Two workers, only in the long run: another test always runs two with TLS."""


@pytest.mark.parametrize("workers", [1, SEVERAL])
def test_answers_streams_and_large_bodies_are_served_over_tls(
    emulator_url, certificate, trusted, workers
):
    picture = (DATA / "astronaut.png").read_bytes()
    with (
        secure(emulator_url, certificate, workers=workers) as process,
        caller(process, trusted) as client,
    ):
        whole = client.post("/v1/generate", json=BODY)
        seen = client.post("/v1/generate/upload", data=BODY, files={"images": picture})
        with client.stream("POST", "/v1/generate", json={**BODY, "stream": True}) as answer:
            events = [line for line in answer.iter_lines() if line.startswith("event: ")]

    assert process.url.startswith("https://")
    assert whole.json()["generation"]
    assert seen.json()["images"][0]["received"]["bytes"] == len(picture)
    assert (events[0], events[-1]) == ("event: start", "event: done")


def test_a_client_without_tls_is_disconnected_and_others_are_served(
    emulator_url, certificate, trusted
):
    with secure(emulator_url, certificate) as process:
        with pytest.raises(httpx.TransportError):
            httpx.get(process.url.replace("https", "http") + "/healthz")
        with caller(process, trusted) as client:
            assert client.get("/healthz").is_success


def test_a_replaced_certificate_serves_new_connections_and_open_ones_continue(
    emulator_url, certificate, trusted
):
    # Two workers, as the next test has one.
    with (
        secure(emulator_url, certificate, "token-100ms", workers=2) as process,
        caller(process, trusted) as client,
        client.stream("POST", "/v1/generate", json={**BODY, "stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "event: start"

        renewed = trusted.issue(certificate)
        # Each worker checks the file itself.
        until(
            lambda: {serial_shown(port(process), trusted.path) for _ in range(10)} == {renewed},
            "the new certificate is not shown",
        )

        assert [line for line in lines if line.startswith("event: ")][-1] == "event: done"


def test_unusable_tls_files_change_nothing_and_are_logged_once(emulator_url, certificate, trusted):
    before = serial(certificate)
    with secure(emulator_url, certificate) as process:
        certificate.write_text("half a certif")
        until(lambda: "certificate not reloaded" in process.log(), "nothing is logged")
        shown = [serial_shown(port(process), trusted.path) for _ in range(3)]
        renewed = trusted.issue(certificate)
        until(
            lambda: serial_shown(port(process), trusted.path) == renewed, "it is not taken up again"
        )
        lines = [line for line in process.log().splitlines() if "not reloaded" in line]

    assert shown == [before] * 3
    assert str(certificate) in json.loads(lines[0])["reason"]
    assert len(lines) == 1


def serial(path: Path) -> int:
    """Return the serial number of the certificate in ``path``."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_mutual_tls_admits_only_clients_with_a_certificate_of_the_authority(
    emulator_url, tmp_path, certificate, trusted
):
    clients = another_authority(tmp_path / "clients")
    clients.issue(tmp_path / "ours.pem")
    trusted.issue(tmp_path / "theirs.pem")

    with secure(emulator_url, certificate, tls_client_ca_file=clients.path) as process:
        for shown in (None, tmp_path / "theirs.pem"):
            with caller(process, trusted, shown) as client, pytest.raises(httpx.TransportError):
                client.get("/healthz")
        with caller(process, trusted, tmp_path / "ours.pem") as client:
            assert client.post("/v1/generate", json=BODY).is_success

        # The authority is replaced: clients of the previous one are no longer admitted.
        successor = another_authority(tmp_path / "successor")
        shutil.copy(successor.path, clients.path)
        until(lambda: "certificate reloaded" in process.log(), "the file is not read again")
        with (
            caller(process, trusted, tmp_path / "ours.pem") as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get("/healthz")


def test_the_images_health_check_uses_tls(emulator_url, tmp_path, certificate, trusted):
    def healthy(process: Running, **named: Path) -> bool:
        environment = {f"{PREFIX}{name.upper()}": str(path) for name, path in named.items()}
        command = [str(ROOT / "deploy" / "image" / "healthcheck"), str(port(process)), "/healthz"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return not subprocess.run(
            command, env={"PATH": path, **environment}, check=False
        ).returncode

    shown = {"tls_certificate_file": certificate}
    mutual = {**shown, "tls_client_ca_file": trusted.path}
    with secure(emulator_url, certificate) as process:
        assert (healthy(process), healthy(process, **shown)) == (False, True)
    with secure(emulator_url, certificate, tls_client_ca_file=trusted.path) as process:
        assert healthy(process, **mutual)
    assert not healthy(process, **shown)


def test_a_stream_over_tls_is_finished_during_shutdown(emulator_url, certificate, trusted):
    with (
        secure(emulator_url, certificate, "token-100ms") as process,
        caller(process, trusted) as client,
        client.stream("POST", "/v1/generate", json={**BODY, "stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "event: start"
        process.process.send_signal(signal.SIGTERM)

        assert [line for line in lines if line.startswith("event: ")][-1] == "event: done"
        assert process.process.wait(30) == 0


def test_a_handshake_that_never_completes_times_out(monkeypatch, certificate):
    monkeypatch.setattr(event_loop, "HANDSHAKE_SECONDS", 0.1)
    server = Server(Rig().app(), Settings(_env_file=None, tls_certificate_file=certificate))
    assert server.tls is not None
    context = server.tls.context

    async def silence() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = await loop.create_server(asyncio.Protocol, sock=listener, ssl=context)
            with socket.create_connection(serving.sockets[0].getsockname()) as client:
                # Nothing is sent. uvloop's own timeout is 60 seconds.
                client.settimeout(30)
                await asyncio.to_thread(client.recv, 1)
            serving.close()

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(silence())


def wrong_password(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("tls_certificate_file", None, "No such file"),
        ("tls_certificate_file", "no pem", "no certificate"),
        ("tls_key_file", None, "No such file"),
        ("tls_key_file", "another's", "key values mismatch"),
        ("tls_key_file", "with a password", "password"),
        ("tls_client_ca_file", None, "No such file"),
        ("tls_client_ca_file", "no pem", "no certificate of an authority"),
    ],
)
def test_unusable_tls_files_stop_the_start_with_one_line(
    tmp_path, certificate, trusted, setting, content, said
):
    path = tmp_path / "it.pem"
    if content == "another's":
        trusted.issue(path)
    elif content == "with a password":
        wrong_password(path)
    elif content is not None:
        path.write_text(content)

    named = {"tls_certificate_file": certificate, setting: path}
    with pytest.raises(SettingsError) as refused:
        check(Settings(_env_file=None, usage_store="memory", **named))

    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{PREFIX}TLS_")
    assert (str(path) in line, said in line) == (True, True), line


def test_an_expired_certificate_stops_the_start(tmp_path, trusted):
    path = tmp_path / "it.pem"
    trusted.issue(path, days=-1)

    with pytest.raises(SettingsError, match=r"it\.pem: the certificate counts from .* UTC"):
        check(Settings(_env_file=None, usage_store="memory", tls_certificate_file=path))


@pytest.mark.parametrize("setting", ["tls_key_file", "tls_client_ca_file"])
def test_a_key_or_an_authority_without_a_certificate_stops_the_start(tmp_path, setting):
    run = start(tmp_path, **{setting: "x.pem"})

    assert run.stderr.startswith(f"{PREFIX}{setting.upper()}: is set, but tls_certificate_file")
