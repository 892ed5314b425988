"""The real gateways with the stand-in upstream; the emulator checks what they send."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from bench import fetch
from bench.peers import dialects, gateways
from bench.peers.cache_warm_up import fill
from bench.peers.comparison import Comparison, comparison
from bench.peers.gateways import Gateway
from bench.peers.measurement import counts, measure
from bench.peers.verdict import TAKEN, verdict
from bench.peers.workloads import Identity, Shape, Workload
from bench.photos import Picture
from fixtures.images import encoded, photo
from fixtures.process import running
from tests.support.service.warm_processes import popen

FITTING = Picture(encoded(photo(), "JPEG"))
LARGE = Picture(encoded(photo(1600, 1200), "JPEG"))
TEXT = Workload("text", "", 1)
STREAM = Workload("stream", "", 1, Shape.STREAM)
PICTURE = Workload("picture", "", 1, picture="100 KB")
FORM = Workload("form", "", 1, Shape.FORM, "100 KB")


SCHEMES = {Identity.SIGNED: b"AWS4-HMAC-SHA256", Identity.API_KEY: b"Bearer"}

# One worker starts what the tests share, which takes twelve seconds of CPU.
pytestmark = pytest.mark.xdist_group("comparison")


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with running("app.emulator", "--port", "0", "--no-read-words", start=popen) as emulator:
        yield emulator.url


@pytest.fixture(scope="module")
def stand() -> Iterator[Comparison]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateways, "running", partial(running, start=popen))
        with comparison(["ours", "naive"], SCHEMES) as stand:
            yield stand


def test_the_model_accepts_each_gateways_requests_but_large_pictures_only_from_ours(
    stand, emulator
):
    direct, ours, naive = stand.gateways[:3]
    said = partial(verdict, upstream=stand.upstream_url, emulator=emulator)

    for gateway in (direct, ours, naive):
        assert said(gateway, TEXT, None) == TAKEN
        assert said(gateway, STREAM, None) == TAKEN
        assert said(gateway, PICTURE, FITTING) == TAKEN
    assert said(ours, PICTURE, LARGE) == TAKEN
    assert said(ours, FORM, LARGE) == TAKEN
    assert "1600x1200" in said(naive, PICTURE, LARGE)


def test_requests_of_one_gateway_are_not_attributed_to_the_next(tmp_path):
    (tmp_path / "invoke").write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with (
        running("bench.peers.upstream", str(tmp_path)) as it,
        running("bench.peers.upstream", str(tmp_path)) as other,
    ):
        sending = Gateway("sending", it.url, dialects.direct(), it.process.pid)
        silent = replace(sending, url=other.url)
        said = partial(verdict, workload=TEXT, picture=None, upstream=it.url, emulator=other.url)

        assert said(sending) == TAKEN
        assert said(silent) == "nothing was sent"


def test_each_gateway_authenticates_to_bedrock_as_the_workload_says(stand, emulator):
    for identity, scheme in SCHEMES.items():
        asked_with_it = [each for each in stand.gateways if each.identity is identity]
        assert [each.name for each in asked_with_it] == ["ours", "naive"]
        for gateway in asked_with_it:
            verdict(gateway, TEXT, None, stand.upstream_url, emulator)
            assert fetch.get(f"{stand.upstream_url}/bench/scheme") == scheme


def test_the_picture_cache_is_filled_up_to_the_requested_size(stand):
    before = counts(stand.upstream_url)
    fill(stand.gateways[1], stand.upstream_url, 3_000_000)

    sent = counts(stand.upstream_url)
    assert (sent.bytes - before.bytes) * 3 / 4 >= 3_000_000
    assert sent.requests - before.requests >= 6


def test_a_run_counts_every_answer_and_its_resources(stand):
    direct, _, naive = stand.gateways[:3]
    runs = [
        measure(stand, gateway, workload, None, number=1, seconds=0)
        for gateway in (direct, naive)
        for workload in (TEXT, STREAM)
    ]

    assert [run.gateway for run in runs] == ["direct", "direct", "naive", "naive"]
    for run in runs:
        assert (run.answered, run.failed, run.upstream_requests) == (1, 0, 1)
        assert run.upstream_bytes
        assert run.p50
        assert run.peak_mib > 10
