"""Every outgoing client verifies its server's certificate."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from pydantic import SecretStr

from app.adapters.access.issuer import Issuer
from app.adapters.access.tokens import open_tokens
from app.adapters.audit.s3_heads import S3Heads
from app.adapters.aws_session import aws_session
from app.adapters.bedrock.control_plane import open_control_plane
from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.knowledge_base import KnowledgeBaseRetriever
from app.adapters.bedrock.lifecycle import Lifecycles
from app.adapters.bedrock.locations import Locations
from app.adapters.bedrock.model_import import open_imports
from app.adapters.bedrock.runtime import open_agent_runtime, open_runtime
from app.adapters.encryption.root_kms import KmsRootKeys
from app.adapters.files.s3 import BucketConnection, open_bucket_files
from app.adapters.http1.sender import Limits
from app.adapters.sources import http, s3
from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.http import HttpImageSource
from app.adapters.sources.rules import UrlRules
from app.adapters.sources.s3 import S3ImageSource
from app.adapters.stores.rate_limiter import open_limiter
from app.adapters.stores.redis_client import open_redis
from app.adapters.stores.usage_postgres import open_postgres
from app.cli.doctor import aws, server, stores
from app.domain.generation import ModelRequest, Role, Target, Turn
from app.domain.guardrail import Content, Kind, Source
from app.domain.image import S3Image, UrlImage
from app.domain.limit import parse
from app.domain.model import LLAMA_3_2_11B, Dialect, capabilities, identify
from app.domain.retrieval import KnowledgeBase, RetrievalQuery
from app.domain.usage import UsageQuery
from app.settings import Settings
from app.wiring.guardrails import open_guardrail
from app.wiring.model import vision_model
from app.wiring.receipts import decrypted
from app.wiring.units import units_of
from app.wiring.webhooks import open_webhook_sender
from tests.support.fakes.ports import Arriving
from tests.support.model.dialects import BEDROCK, IMPORTED, MODEL_IDS
from tests.support.servers.scripted import Peer, answer, upstream
from tests.support.servers.tls import (
    CASES,
    HOST,
    Authority,
    Opening,
    authority,
    listening,
    tunnelling,
)

DAY = date(2026, 11, 23)
ASKED = ModelRequest(turns=(Turn(Role.USER, "Why is the sky blue?"),))
LIMITS = Limits(connect_timeout=5, read_timeout=5)
ADDRESS = "127.0.0.1"

Call = Callable[[str, int], Awaitable[object]]


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


def model(dialect: Dialect) -> Call:
    async def call(host: str, port: int) -> object:
        connection = Connection("us-east-1", f"https://{host}:{port}", LIMITS)
        async with open_runtime(aws_session(), connection) as runtime:
            asked = vision_model(dialect, runtime, identify(MODEL_IDS[dialect]))
            return await asked.generate(ASKED)

    return call


def streamed(dialect: Dialect) -> Call:
    async def call(host: str, port: int) -> object:
        connection = Connection("us-east-1", f"https://{host}:{port}", LIMITS)
        async with open_runtime(aws_session(), connection) as runtime:
            asked = vision_model(dialect, runtime, identify(MODEL_IDS[dialect]))
            return await asked.stream(ASKED).__aenter__()

    return call


async def other_server(host: str, port: int) -> object:
    from app.adapters.openai.model import OpenAiVisionModel
    from app.adapters.openai.server import open_server

    async with open_server(f"https://{host}:{port}/v1", "key", LIMITS) as server:
        able = capabilities(Dialect.OPENAI, LLAMA_3_2_11B)
        return await OpenAiVisionModel(server, "llama", able).generate(ASKED)


async def objects(host: str, port: int) -> object:
    connection = s3.Connection("us-east-1", f"https://{host}:{port}")
    async with s3.open_client(aws_session(), connection) as client:
        return await S3ImageSource(client, ("b",), 10, 10).fetch(S3Image("b", "k"), Arriving())


async def control_plane(host: str, port: int) -> object:
    endpoint: Any = f"https://{host}:{port}"
    async with aws_session().client(
        "bedrock", region_name="us-east-1", endpoint_url=endpoint
    ) as client:
        return await client.list_foundation_models()


async def batch_jobs(host: str, port: int) -> object:
    connection = Connection("us-east-1", f"https://{host}:{port}", LIMITS)
    async with open_control_plane(aws_session(), connection) as plane:
        return await plane.get("model-invocation-jobs")


async def guardrail(host: str, port: int) -> object:
    settings = Settings(
        _env_file=None,
        guardrail_kind=Kind.APPLY,
        guardrail_id="abc123",
        endpoint_url=f"https://{host}:{port}",
        region="us-east-1",
    )
    policy = settings.guardrail_policy
    assert policy is not None
    async with open_guardrail(aws_session(), settings) as judge:
        content = Content(Source.INPUT, ("why?",))
        return await judge.assess(content, policy)


async def knowledge_base(host: str, port: int) -> object:
    connection = Connection("us-east-1", f"https://{host}:{port}", LIMITS)
    base = KnowledgeBase("docs", "KB12345678", "us-east-1")
    async with open_agent_runtime(aws_session(), connection) as runtime:
        retriever = KnowledgeBaseRetriever({"us-east-1": runtime})
        return await retriever.retrieve(RetrievalQuery(base, "why?", 3))


async def lifecycle(host: str, port: int) -> object:
    target = Target("us-east-1", MODEL_IDS[Dialect.CHAT], Dialect.CHAT)
    async with open_control_planes(aws_session(), f"https://{host}:{port}") as planes:
        return await Lifecycles(planes).life(target, identify(target.model_id))


async def locations(host: str, port: int) -> object:
    """Look up a knowledge base's location at its control plane."""
    endpoint = f"https://{host}:{port}"
    async with open_control_planes(aws_session(), None, endpoint) as planes:
        return await Locations(planes).knowledge_base("us-east-1", "KB12345678")


async def kept_files(host: str, port: int) -> object:
    connection = BucketConnection("bucket", "", "us-east-1", f"https://{host}:{port}")
    async with open_bucket_files(aws_session(), connection) as files:
        return await files.facts("ann", "file-1")


async def audit_heads(host: str, port: int) -> object:
    connection = s3.Connection("us-east-1", f"https://{host}:{port}")
    async with s3.open_client(aws_session(), connection) as client:
        await S3Heads(client, "heads", "").put(1, "signature")
    return None


async def imports(host: str, port: int) -> object:
    endpoint = f"https://{host}:{port}"
    async with open_imports("us-east-1", endpoint, endpoint) as client:
        await client.delete("mine")
    return None


async def receipt_key(host: str, port: int) -> object:
    """Have KMS decrypt the receipts' signing key."""
    settings = Settings(_env_file=None, region="us-east-1")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_KMS", f"https://{host}:{port}")
        return await decrypted(aws_session(), settings, b"encrypted")


async def data_keys(host: str, port: int) -> object:
    endpoint: Any = f"https://{host}:{port}"
    async with aws_session().client("kms", region_name="us-east-1", endpoint_url=endpoint) as kms:
        return await KmsRootKeys(kms, "alias/data").wrap(b"secret", "ann")


async def webhook(host: str, port: int) -> object:
    url = f"https://{host}:{port}/hook"
    settings = Settings(
        _env_file=None, webhook_hosts=(f"{host}:{port}",), webhook_secret=SecretStr("s" * 32)
    )
    async with open_webhook_sender(settings, AddressPolicy(("127.0.0.0/8", "::1/128"))) as sender:
        return await sender.post(url, {}, b"{}")


async def units(host: str, port: int) -> object:
    settings = Settings(
        _env_file=None,
        model_id=IMPORTED,
        region="us-east-1",
        dialect=Dialect.CHAT,
        endpoint_url=f"https://{host}:{port}",
    )
    return await asyncio.to_thread(units_of, settings.targets[0], settings)


async def issuer_of_tokens(host: str, port: int) -> object:
    """Look up the URL of an issuer's keys in its OpenID configuration."""
    async with open_tokens(Issuer(f"https://{host}:{port}", "aud")) as tokens:
        return await tokens.keys.holding("k")


def doctor(check: Callable[[Settings], AsyncIterator[object]], **settings: str) -> Call:
    """Return a run of the doctor whose settings name the server as ``{}``."""

    async def call(host: str, port: int) -> object:
        there: Any = {
            name: value.replace("{}", f"{host}:{port}").replace("CA", CA)
            for name, value in settings.items()
        }
        return [each async for each in check(Settings(_env_file=None, **there))]

    return call


async def look_at_server(settings: Settings) -> AsyncIterator[object]:
    yield await server.check(settings, settings.targets[0])


async def role(host: str, port: int) -> object:
    credentials = await aws_session().get_credentials()
    return await credentials.get_frozen_credentials()


async def issuer_keys(host: str, port: int) -> object:
    issuer = Issuer(f"https://{host}:{port}", "aud", f"https://{host}:{port}/keys")
    async with open_tokens(issuer) as tokens:
        return await tokens.keys.holding("k")


async def limiter(host: str, port: int) -> object:
    async with open_limiter(f"rediss://:secret@{host}:{port}/0?ssl_ca_certs={CA}") as limits:
        return await limits.take("ann", parse({"requests": "1/minute"}), 1)


async def redis_usage(host: str, port: int) -> object:
    url = f"rediss://:secret@{host}:{port}/0?ssl_ca_certs={CA}"
    async with open_redis(url) as client:
        return await client.ping()


def postgres(mode: str) -> Call:
    async def call(host: str, port: int) -> object:
        url = f"postgresql://u:secret@{host}:{port}/db?sslmode={mode}&sslrootcert={CA}"
        async with open_postgres(url) as store:
            return await store.read(UsageQuery(DAY, DAY))

    return call


async def traces(host: str, port: int) -> object:
    exporter = OTLPSpanExporter(endpoint=f"https://{host}:{port}/v1/traces", timeout=1)
    try:
        return await asyncio.to_thread(exporter.export, [])
    finally:
        exporter.shutdown()


async def metrics(host: str, port: int) -> object:
    exporter = OTLPMetricExporter(endpoint=f"https://{host}:{port}/v1/metrics", timeout=1)
    try:
        return await asyncio.to_thread(exporter.export, MetricsData([]))
    finally:
        exporter.shutdown()


def asks_for_tls(connection: socket.socket) -> None:
    """Answer PostgreSQL's request for TLS."""
    connection.recv(8)
    connection.send(b"S")


CLIENTS: dict[str, Call] = {
    **{f"{dialect} in one piece": model(dialect) for dialect in BEDROCK},
    **{f"{dialect} as a stream": streamed(dialect) for dialect in BEDROCK},
    "an OpenAI-compatible server": other_server,
    "S3": objects,
    "Bedrock's control plane": control_plane,
    "STS": role,
    "batch jobs": batch_jobs,
    "a guardrail": guardrail,
    "a knowledge base": knowledge_base,
    "the lifecycle of a model": lifecycle,
    "the locations of hops": locations,
    "kept files": kept_files,
    "the audit log's heads": audit_heads,
    "imports of models": imports,
    "KMS": data_keys,
    "the receipts' key in KMS": receipt_key,
    "webhooks": webhook,
    "an issuer's keys": issuer_keys,
    "an issuer's configuration": issuer_of_tokens,
    "the units of an imported model": units,
    "the doctor, at a server": doctor(
        look_at_server, openai_model="llama", dialect="openai", openai_url="https://{}/v1"
    ),
    "the doctor, at Bedrock": doctor(aws.check, endpoint_url="https://{}"),
    "the doctor, at S3": doctor(
        stores.check, image_s3_buckets="bucket", image_s3_endpoint_url="https://{}"
    ),
    "the doctor, at PostgreSQL": doctor(
        stores.check,
        usage_store="postgres",
        postgres_url="postgresql://u:secret@{}/db?sslmode=require&sslrootcert=CA",
    ),
    "the doctor, at Redis": doctor(
        stores.check, usage_store="redis", redis_url="rediss://:secret@{}/0?ssl_ca_certs=CA"
    ),
    "the doctor, at an issuer": doctor(stores.check, oidc_issuer="https://{}", oidc_audience="aud"),
    "limits in Redis": limiter,
    "usage in Redis": redis_usage,
    "usage in PostgreSQL, verify-full": postgres("verify-full"),
    "usage in PostgreSQL, require": postgres("require"),
    "traces by OTLP": traces,
    "metrics by OTLP": metrics,
}
CA = ""


@pytest.fixture(autouse=True)
def _trusting(trusted: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every client trust the tests' authority through its environment variable."""
    monkeypatch.setitem(globals(), "CA", str(trusted.path))
    for name in (
        "AWS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        # The exporter's HTTP library reads this before the exporter's own variable.
        "REQUESTS_CA_BUNDLE",
    ):
        monkeypatch.setenv(name, str(trusted.path))
    # Retries would only prolong the test.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def opening_of(client: str) -> Opening | None:
    return asks_for_tls if "PostgreSQL" in client else None


def as_a_role(monkeypatch: pytest.MonkeyPatch, folder: Path, url: str) -> None:
    """Make the AWS credential chain request credentials from STS at ``url``."""
    token = folder / "token"
    token.write_text("web.identity.token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/service")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)


async def told(
    client: str, host: str, case: str, trusted: Authority, monkeypatch: Any, folder: Path
) -> bytes:
    """Return the bytes that ``client`` sends to a server with the certificate of ``case``."""
    with listening(trusted.context(case), opening_of(client)) as listener:
        if client == "STS":
            as_a_role(monkeypatch, folder, f"https://{host}:{listener.port}")
        # The server never answers: only what the client sends matters.
        with suppress(Exception):
            await CLIENTS[client](host, listener.port)
    return listener.received


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", CLIENTS)
async def test_nothing_is_sent_to_a_server_with_an_invalid_certificate(
    client, case, trusted, monkeypatch, tmp_path
):
    assert bool(await told(client, HOST, case, trusted, monkeypatch, tmp_path)) == CASES[case]


@pytest.mark.parametrize("case", ["right", "address only"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_an_ip_address_must_be_in_the_certificate_too(
    client, case, trusted, monkeypatch, tmp_path
):
    received = await told(client, ADDRESS, case, trusted, monkeypatch, tmp_path)

    assert bool(received) == (case == "address only")


@pytest.mark.parametrize("case", CASES)
async def test_a_picture_is_requested_only_from_the_host_of_its_url(case, trusted):
    """The request goes to the checked address, under the host name of the URL."""
    with listening(trusted.context(case)) as listener:
        async with http.open_transport(trusted.path) as sender:
            source = HttpImageSource(
                transport=sender,
                rules=UrlRules((f"{HOST}:{listener.port}",)),
                max_bytes=10,
                timeout=5,
                addresses=AddressPolicy(("127.0.0.0/8",)),
                resolve=here,
            )
            with suppress(Exception):
                await source.fetch(UrlImage(f"https://{HOST}:{listener.port}/a.png"), Arriving())

    assert bool(listener.received) == CASES[case]


async def here(host: str) -> list[str]:
    return [ADDRESS]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", ["converse in one piece", "chat as a stream", "S3", "STS"])
async def test_nothing_is_sent_through_a_proxy_to_a_server_with_an_invalid_certificate(
    client, case, trusted, monkeypatch, tmp_path
):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with tunnelling() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("https_proxy", proxy)
        received = await told(client, HOST, case, trusted, monkeypatch, tmp_path)

    assert bool(received) == CASES[case]


async def test_the_sdks_session_follows_no_redirect():
    """A redirect would carry the headers with credentials along."""
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        port = peer.writer.get_extra_info("sockname")[1]
        # 308, as the SDK handles S3's 301 and 307 itself, with requests to its own endpoint.
        await peer.say(answer(b"", f"Location: http://127.0.0.1:{port}/other", status=308))

    async with upstream(script) as served:
        connection = s3.Connection("us-east-1", f"http://127.0.0.1:{served.port}")
        async with s3.open_client(aws_session(), connection) as client:
            with suppress(Exception):
                await client.get_object(Bucket="b", Key="k")

    assert heads
    assert not [head for head in heads if head.startswith(b"GET /other")]


async def test_without_the_tests_authority_even_the_right_certificate_is_refused(
    trusted, monkeypatch, tmp_path
):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name)
    for client in ("converse in one piece", "S3", "an issuer's keys"):
        assert await told(client, HOST, "right", trusted, monkeypatch, tmp_path) == b""


def test_the_tests_own_authority_is_accepted_by_clients(trusted):
    with listening(trusted.context("right")) as listener, suppress(httpx.HTTPError):
        httpx.get(f"https://{HOST}:{listener.port}/")

    assert listener.received.startswith(b"GET / HTTP/1.1")
