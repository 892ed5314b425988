"""Webhooks over real sockets: what arrives, and which addresses are never called."""

import asyncio
import time
from email.utils import formatdate

import pytest

from app.adapters.sources.addresses import AddressPolicy
from app.domain.errors import WebhooksDisabledError, WebhookUrlNotAllowedError
from app.settings import Settings
from app.wiring.webhooks import open_webhook_sender
from tests.support.servers.scripted import Peer, answer, upstream

NEAR = AddressPolicy(exempt=("127.0.0.0/8",))


def settings(*hosts: str, http: bool = True, timeout: float = 20) -> Settings:
    return Settings(
        _env_file=None,
        webhook_hosts=hosts,
        webhook_allow_http=http,
        webhook_secret="a secret of the operator's",
        webhook_timeout=timeout,
    )


async def posted(reply: bytes, policy: AddressPolicy | None = NEAR):
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        head, body = await peer.request()
        heads.append(head)
        bodies.append(body)
        await peer.say(reply)

    async with upstream(script) as served:
        host = f"127.0.0.1:{served.port}"
        async with open_webhook_sender(settings(host), policy) as opened:
            opened.check(f"http://{host}/hook")
            told = await opened.post(f"http://{host}/hook?a=1", {"webhook-id": "evt_1"}, b"{}")
    return told, heads, bodies


async def test_an_event_arrives_as_signed() -> None:
    told, heads, bodies = await posted(answer(b"ok"))
    assert told.accepted
    assert heads[0].startswith(b"POST /hook?a=1 HTTP/1.1")
    assert b"webhook-id: evt_1" in heads[0].lower()
    assert bodies == [b"{}"]


async def test_a_redirect_is_not_followed() -> None:
    reply = answer(b"", "Location: http://169.254.169.254/latest", status=307)
    told, heads, _ = await posted(reply)
    assert (told.status, told.accepted, len(heads)) == (307, False, 1)


async def test_a_receivers_retry_after_is_returned() -> None:
    told, _, _ = await posted(answer(b"", "Retry-After: 60", status=503))
    assert (told.status, told.retry_after) == (503, 60)


async def test_a_receivers_retry_after_may_be_a_date() -> None:
    due = formatdate(time.time() + 3600, usegmt=True)
    told, _, _ = await posted(answer(b"", f"Retry-After: {due}", status=503))
    assert told.retry_after == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("header", ["soon", "-5", "nan", "1e999", ""])
async def test_a_malformed_retry_after_is_ignored(header: str) -> None:
    told, _, _ = await posted(answer(b"", f"Retry-After: {header}", status=503))
    assert (told.status, told.retry_after) == (503, None)


async def test_a_private_address_is_never_called() -> None:
    told, heads, _ = await posted(answer(b"ok"), None)
    assert heads == []
    assert told.status is None
    assert "not on the public internet" in (told.fault or "")


async def test_a_silent_receiver_times_out() -> None:
    async def silent(peer: Peer) -> None:
        await peer.left()

    async with upstream(silent) as served:
        host = f"127.0.0.1:{served.port}"
        few = settings(host, timeout=1)
        async with asyncio.timeout(20), open_webhook_sender(few, NEAR) as opened:
            told = await opened.post(f"http://{host}/", {}, b"{}")
    assert told.fault == "no answer within 1 seconds"


async def test_a_closed_port_is_a_failed_delivery() -> None:
    async with open_webhook_sender(settings("127.0.0.1:9"), NEAR) as opened:
        told = await opened.post("http://127.0.0.1:9/", {}, b"{}")
    assert "can't be reached" in (told.fault or "")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://other.example.com/",
        "https://user:pass@hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com" + "/x" * 2000,
        "hooks.example.com",
        "https://[half/",
    ],
)
async def test_a_forbidden_target_is_refused_at_once(url: str) -> None:
    async with open_webhook_sender(settings("hooks.example.com", http=False)) as opened:
        opened.check("https://hooks.example.com/fine")
        with pytest.raises(WebhookUrlNotAllowedError):
            opened.check(url)


async def test_without_the_setting_webhooks_are_off() -> None:
    async with open_webhook_sender(Settings(_env_file=None)) as opened:
        with pytest.raises(WebhooksDisabledError, match="LLAMA_VISION_WEBHOOK_HOSTS"):
            opened.check("https://hooks.example.com/")
        assert "off" in ((await opened.post("https://x.test/", {}, b"")).fault or "")


@pytest.mark.parametrize("secret", [None, "short"])
def test_webhooks_require_a_secret(secret: str | None) -> None:
    with pytest.raises(ValueError, match="webhook_secret"):
        Settings(_env_file=None, webhook_hosts=("hooks.test",), webhook_secret=secret)
