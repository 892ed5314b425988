"""Pictures by URL from a misbehaving server."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.http import HttpImageSource, open_transport
from app.adapters.sources.rules import UrlRules
from app.domain import errors
from app.domain.image import ReceivedImage, UrlImage
from tests.support.fakes.ports import Arriving
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.certificates import certify
from tests.support.servers.hostile import HostileServer
from tests.support.servers.uvicorn import serving

LOOPBACK = AddressPolicy(exempt=("127.0.0.0/8", "::1/128"))
HOST = "pictures.example"


class Resolver:
    """Returns its answers in turn, repeating the last one."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def server() -> HostileServer:
    return HostileServer(
        {
            "picture.png": (ASTRONAUT, "image/png; charset=binary"),
            "untyped": (ASTRONAUT, "application/octet-stream"),
            "bare": (ASTRONAUT, ""),
            "page": (b"<html>", "text/html"),
        }
    )


@pytest.fixture(scope="module")
def port(server) -> Iterator[int]:
    with serving(server.app()) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port


@pytest.fixture(autouse=True)
def _forget(server):
    server.asked.clear()
    server.headers.clear()
    server.chunks_sent = 0


@pytest.fixture
def fetch(port):
    """Return a function that fetches a path of the hostile server under an allowed host name."""

    async def fetch(
        path: str,
        resolver: Resolver | None = None,
        *,
        host: str = HOST,
        addresses: AddressPolicy = LOOPBACK,
        max_bytes: int = 1024 * 1024,
        seconds: float = 10,
        arrival: Arriving | None = None,
    ) -> ReceivedImage:
        async with open_transport() as transport:
            source = HttpImageSource(
                transport,
                UrlRules((f"{HOST}:{port}", f"*.{HOST}:{port}"), allow_http=True),
                max_bytes,
                seconds,
                addresses,
                resolver or Resolver(["127.0.0.1"]),
            )
            return await source.fetch(
                UrlImage(f"http://{host}:{port}/{path}", "images.3"), arrival or Arriving()
            )

    return fetch


async def test_a_picture_is_requested_under_the_hosts_own_name(fetch, server, port):
    picture = await fetch("picture.png")

    assert picture == ReceivedImage(ASTRONAUT, "image/png", "images.3")
    assert server.asked == [(f"{HOST}:{port}", "/picture.png")]
    assert server.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("path", ["untyped", "bare"])
async def test_a_file_without_a_declared_type_is_fetched(fetch, path):
    assert (await fetch(path)).declared_type is None


async def test_a_host_is_resolved_once_and_connected_to_at_that_address(fetch, server):
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])

    await fetch("picture.png", resolver)

    assert resolver.asked == [HOST]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [["169.254.169.254"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["fe80::1"], []],
)
async def test_a_host_with_any_forbidden_address_is_refused_before_connecting(
    fetch, server, answer
):
    with pytest.raises(errors.ImageAddressForbiddenError, match=HOST):
        await fetch("picture.png", Resolver(answer))

    assert server.asked == []


async def test_the_loopback_is_forbidden_in_production(fetch, server):
    with pytest.raises(errors.ImageAddressForbiddenError):
        await fetch("picture.png", addresses=AddressPolicy())

    assert server.asked == []


async def test_if_an_address_is_unreachable_the_hosts_next_one_is_used(fetch):
    # The server listens only on the second address.
    assert (await fetch("picture.png", Resolver(["::1", "127.0.0.1"]))).data == ASTRONAUT


async def test_three_redirects_are_followed_each_resolved_again(fetch, server):
    resolver = Resolver(["127.0.0.1"])

    assert (await fetch("loop/3", resolver)).data == ASTRONAUT
    assert len(resolver.asked) == 4
    assert [path for _, path in server.asked] == ["/loop/3", "/loop/2", "/loop/1", "/picture.png"]


async def test_a_fourth_redirect_is_not_followed(fetch, server):
    with pytest.raises(errors.ImageTooManyRedirectsError, match="3 times"):
        await fetch("loop/4")

    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://evil.example/picture.png",
        "http://pictures.example/picture.png",
        "https://pictures.example.evil.org/",
        "file:///etc/passwd",
        "//evil.example/",
        "http://[broken",
    ],
)
async def test_a_redirect_to_a_forbidden_url_is_refused(fetch, server, target):
    with pytest.raises(errors.ImageUrlNotAllowedError):
        await fetch(f"redirect?to={target}")

    assert len(server.asked) == 1


async def test_a_redirect_to_an_allowed_host_at_a_forbidden_address_is_refused(fetch, server, port):
    resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])

    with pytest.raises(errors.ImageAddressForbiddenError, match=r"inner\.pictures"):
        await fetch(f"redirect?to=http://inner.{HOST}:{port}/picture.png", resolver)

    assert len(server.asked) == 1


async def test_a_host_whose_address_becomes_forbidden_between_redirects_is_refused(fetch, server):
    with pytest.raises(errors.ImageAddressForbiddenError):
        await fetch("loop/1", Resolver(["127.0.0.1"], ["127.0.0.1", "169.254.169.254"]))

    assert len(server.asked) == 1


async def test_no_cookie_is_sent_back(fetch, server):
    await fetch("redirect?to=/picture.png")

    assert "cookie" not in server.headers[1]


async def test_an_endless_body_is_abandoned_at_the_limit(fetch, server):
    with pytest.raises(errors.ImageTooLargeError, match="1,048,576"):
        await fetch("endless")

    # The sockets' buffers accept some bytes beyond the limit, but not endlessly many.
    assert server.chunks_sent < 2000


async def test_no_more_is_read_than_memory_allows_and_that_wait_is_not_timed(fetch, server):
    class Slow(Arriving):
        async def grow_to(self, size: int) -> None:
            await super().grow_to(size)
            await asyncio.sleep(0.6)

    arrival = Slow()
    picture = await fetch("picture.png", seconds=0.5, arrival=arrival)

    assert picture.data == ASTRONAUT
    assert arrival.sizes[0] <= 2**16
    assert arrival.sizes == sorted(arrival.sizes)
    assert arrival.sizes[-1] == len(ASTRONAUT)


async def test_a_lack_of_memory_is_not_reported_as_the_hosts_fault(fetch):
    class Full(Arriving):
        async def grow_to(self, size: int) -> None:
            raise errors.OverloadedError("full", retry_after=1)

    with pytest.raises(errors.OverloadedError):
        await fetch("picture.png", arrival=Full())


async def test_a_body_announced_as_too_large_is_not_read(fetch, server):
    with pytest.raises(errors.ImageTooLargeError):
        await fetch("claims/1048577")


async def test_a_body_of_exactly_the_limit_is_accepted(fetch):
    assert (await fetch("picture.png", max_bytes=len(ASTRONAUT))).data == ASTRONAUT
    with pytest.raises(errors.ImageTooLargeError):
        await fetch("picture.png", max_bytes=len(ASTRONAUT) - 1)


@pytest.mark.parametrize("path", ["drip", "silence"])
async def test_a_slow_server_times_out(fetch, path):
    with pytest.raises(errors.ImageSourceTimeoutError):
        await fetch(path, seconds=0.5)


async def test_a_media_type_that_is_not_an_image_is_refused_unread(fetch):
    with pytest.raises(errors.UnsupportedImageTypeError, match="text/html"):
        await fetch("page")


async def test_a_compressed_body_is_refused(fetch):
    with pytest.raises(errors.UnsupportedImageTypeError, match="compressed"):
        await fetch("gzip")


async def test_a_truncated_body_is_refused(fetch):
    with pytest.raises(errors.ImageSourceUnavailableError):
        await fetch("cut")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, errors.ImageSourceNotFoundError),
        (410, errors.ImageSourceNotFoundError),
        (401, errors.ImageSourceDeniedError),
        (403, errors.ImageSourceDeniedError),
        (204, errors.ImageSourceUnavailableError),
        (206, errors.ImageSourceUnavailableError),
        (304, errors.ImageSourceUnavailableError),
        (429, errors.ImageSourceUnavailableError),
        (503, errors.ImageSourceUnavailableError),
    ],
)
async def test_a_status_other_than_200_is_reported(fetch, status, expected):
    with pytest.raises(expected, match=str(status)):
        await fetch(f"status/{status}")


async def test_a_closed_port_is_unavailable(fetch):
    with pytest.raises(errors.ImageSourceUnavailableError):
        await fetch("picture.png", Resolver(["::1"]))


@pytest.mark.parametrize("error", [socket.gaierror("no such host"), UnicodeError("label too long")])
async def test_a_host_that_does_not_resolve_is_unavailable(fetch, error):
    async def resolver(host: str) -> Sequence[str]:
        raise error

    with pytest.raises(errors.ImageSourceUnavailableError):
        await fetch("picture.png", resolver)


async def test_the_certificate_is_checked_against_the_urls_host(server, tmp_path):
    certificate = certify(HOST, tmp_path)
    files = {
        "ssl_certfile": str(certificate.certificate),
        "ssl_keyfile": str(certificate.key),
    }
    with serving(server.app(), **files) as url:
        port = urlsplit(url).port
        async with open_transport(certificate.certificate) as transport:
            source = HttpImageSource(
                transport,
                UrlRules((f"{HOST}:{port}", f"other.example:{port}")),
                1024 * 1024,
                10,
                LOOPBACK,
                Resolver(["127.0.0.1"]),
            )
            right = await source.fetch(UrlImage(f"https://{HOST}:{port}/picture.png"), Arriving())
            with pytest.raises(errors.ImageSourceUnavailableError):
                await source.fetch(
                    UrlImage(f"https://other.example:{port}/picture.png"), Arriving()
                )

    assert right.data == ASTRONAUT
    assert server.asked == [(f"{HOST}:{port}", "/picture.png")]


async def test_a_certificate_of_an_unknown_authority_is_refused(server, tmp_path):
    certificate = certify(HOST, tmp_path)
    files = {
        "ssl_certfile": str(certificate.certificate),
        "ssl_keyfile": str(certificate.key),
    }
    with serving(server.app(), **files) as url:
        port = urlsplit(url).port
        async with open_transport() as transport:
            source = HttpImageSource(
                transport, UrlRules((f"{HOST}:{port}",)), 1024, 10, LOOPBACK,
                Resolver(["127.0.0.1"]),
            )  # fmt: skip
            with pytest.raises(errors.ImageSourceUnavailableError):
                await source.fetch(UrlImage(f"https://{HOST}:{port}/picture.png"), Arriving())

    assert server.asked == []
