"""``python -m app dev``: runs the emulator and the service, and asks a first question."""

import argparse
import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import ssl
import sys
import tempfile
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import httpx

from app.cli.certificate import ThrowawayFiles, throwaway
from app.settings import PREFIX, Settings, SettingsError, load

PICTURE = Path(__file__).parent / "data" / "astronaut.png"
QUESTION = "What is in this picture?"
EMULATOR_PORT = 9100
LAST_PORT = 65535
START_SECONDS = 60.0
REGION = "us-east-1"
MODEL = f"arn:aws:bedrock:{REGION}:123456789012:imported-model/llama32vis11"
KNOWLEDGE_BASES = {
    "sample": {
        "id": "SAMPLEKB01",
        "description": "Tickets, opening hours and rules of a tram line that does not exist.",
        "image_queries": True,
        "reranker": f"arn:aws:bedrock:{REGION}::foundation-model/amazon.rerank-v1:0",
    }
}
"""The setting for the emulator's knowledge base of sample documents."""
SERVING = "Serving on {url}; Swagger UI on {url}/docs. Ctrl-C ends it."
LATE = f"No answer within {START_SECONDS:.0f} seconds; what stands above may say why.\n"
PORT_TAKEN = "Port {port} is taken. Choose another one: make run PORT={other}"
KEYS_NEEDED = (
    "No first question was asked: this service is set to ask for keys or tokens. "
    "Send one with yours, as Authorization: Bearer <key>."
)


MUTUAL = (
    f"{PREFIX}TLS_CLIENT_CA_FILE: dev has no client certificate for its first question; use serve"
)
TRUST = """Clients trust its certificate, which is good for a week, with:
export AWS_CA_BUNDLE={path} SSL_CERT_FILE={path} NODE_EXTRA_CA_CERTS={path}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--tls",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="speak HTTPS with a throw-away certificate, kept in FOLDER or else removed at the end",
    )


def run(parsed: argparse.Namespace) -> int:
    """Serve in front of the emulator, which needs no AWS account."""
    with contextlib.ExitStack() as stack:
        files = None
        if parsed.tls is not None:
            folder = parsed.tls or stack.enter_context(
                tempfile.TemporaryDirectory(prefix="llama-vision-tls-")
            )
            files = throwaway(Path(folder).absolute())
        settings = load()
        if settings.tls_client_ca_file is not None:
            raise SettingsError(MUTUAL)
        return asyncio.run(_serve(settings, files))


async def _serve(settings: Settings, files: ThrowawayFiles | None) -> int:
    """Start both, print the first answer, then serve until a signal or until one of them ends."""
    if reason := _unusable(settings.host, settings.port):
        sys.stderr.write(f"{reason}\n")
        return 1
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    port = emulator_port()
    emulator_url = f"http://127.0.0.1:{port}"
    secure = _secure(files)
    scheme = "https" if files else settings.scheme
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{scheme}://{host}:{settings.port}"
    emulator = await _start("app.emulator", "--port", str(port))
    service = await _start(
        "app", "serve", environment={**_offline(emulator_url, settings), **secure}
    )
    children = (emulator, service)
    try:
        async with asyncio.timeout(START_SECONDS), _client(files) as client:
            await _ready(client, f"{emulator_url}/_emulator/health", children, stopped)
            # Not /readyz, which may need a key and would have nothing more to wait for.
            await _ready(client, f"{url}/healthz", children, stopped)
            if not stopped.is_set() and _running(children):
                message = KEYS_NEEDED if settings.authenticates else await answer(client, url)
                trust = f"{TRUST.format(path=files.authority)}\n" if files else ""
                sys.stdout.write(f"\n{message}\n\n{trust}{SERVING.format(url=url)}\n")
                sys.stdout.flush()
        await _until_stopped(stopped, children)
    except TimeoutError:
        sys.stderr.write(LATE)
    finally:
        await _stop(children)
    return 0 if stopped.is_set() else 1


def _secure(files: ThrowawayFiles | None) -> dict[str, str]:
    """Return the settings that make the service use the throw-away certificate."""
    if files is None:
        return {}
    return {
        f"{PREFIX}TLS_CERTIFICATE_FILE": str(files.certificate),
        f"{PREFIX}TLS_KEY_FILE": str(files.certificate),
    }


def _client(files: ThrowawayFiles | None) -> httpx.AsyncClient:
    """Return a client that trusts the service's certificate.

    A configured certificate need not name this address and is not verified: the service is a child
    of this process, on a port that was free.
    """
    if files is None:
        return httpx.AsyncClient(verify=False)  # noqa: S501 - its own child, as said above
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=files.authority))


def _unusable(host: str, port: int) -> str | None:
    """Return why the service can't listen on ``host`` and ``port``, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return PORT_TAKEN.format(port=port, other=port + 1)
            return f"The service can't listen on {host}, port {port}: {error.strerror}"
        return None


def emulator_port() -> int:
    """Return the port in ``EMULATOR_PORT``; if it is unset 9100, or a free port if that is taken.

    Raises SettingsError if the variable is not a port, or its port is taken.
    """
    named = os.environ.get("EMULATOR_PORT")
    if named and not (named.isdecimal() and int(named) <= LAST_PORT):
        raise SettingsError(f"EMULATOR_PORT: {named!r} is not a port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(named or EMULATOR_PORT)))
        except OSError as error:
            if named:
                raise SettingsError(f"EMULATOR_PORT: {named} is taken") from error
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _offline(emulator_url: str, settings: Settings) -> dict[str, str]:
    """Return the environment that points the service at the emulator, with made-up credentials.

    The default model is the emulator's imported model, the form in which Bedrock offers the model
    today. The foundation model's id, which the programs in docs/ use, is an alias of it. The
    default knowledge base is the emulator's.
    """
    model = {f"{PREFIX}MODEL_ID": MODEL, f"{PREFIX}REGION": REGION}
    if "model_aliases" not in settings.model_fields_set:
        model[f"{PREFIX}MODEL_ALIASES"] = settings.model_id
    own_bases = "knowledge_bases" in settings.model_fields_set
    return {
        **({} if "model_id" in settings.model_fields_set else model),
        **({} if own_bases else {f"{PREFIX}KNOWLEDGE_BASES": json.dumps(KNOWLEDGE_BASES)}),
        f"{PREFIX}RETRIEVAL_ENDPOINT_URL": emulator_url,
        f"{PREFIX}ENDPOINT_URL": emulator_url,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_BEARER_TOKEN_BEDROCK": "",
        "AWS_SESSION_TOKEN": "",
    }


async def _start(
    module: str, *arguments: str, environment: dict[str, str] | None = None
) -> Process:
    # Ctrl-C reaches a whole process group, also processes that do not handle it yet.
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env={**os.environ, **(environment or {})},
        process_group=0,
    )


def _running(children: tuple[Process, ...]) -> bool:
    return all(child.returncode is None for child in children)


async def _ready(
    client: httpx.AsyncClient, url: str, children: tuple[Process, ...], stopped: asyncio.Event
) -> None:
    while _running(children) and not stopped.is_set():
        with contextlib.suppress(httpx.TransportError):
            if (await client.get(url)).is_success:
                return
        await asyncio.sleep(0.1)


async def answer(client: httpx.AsyncClient, url: str) -> str:
    """Ask the first question; return the request line and the answer."""
    response = await client.post(
        f"{url}/v1/generate/upload",
        data={"prompt": QUESTION},
        files={"images": (PICTURE.name, PICTURE.read_bytes(), "image/png")},
        timeout=START_SECONDS,
    )
    asked = f"POST {url}/v1/generate/upload  prompt={QUESTION!r}  images=@{PICTURE.name}"
    return f"{asked}\n{response.text}"


async def _until_stopped(stopped: asyncio.Event, children: tuple[Process, ...]) -> None:
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(child.wait()) for child in children]
    waits.append(asyncio.create_task(stopped.wait()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _stop(children: tuple[Process, ...]) -> None:
    for child in children:
        if child.returncode is None:
            child.terminate()
    await asyncio.gather(*(child.wait() for child in children))
