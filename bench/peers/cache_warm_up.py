"""Fill the service's cache of prepared pictures, so that its memory is that of a service in use."""

from contextlib import closing

import uvloop

from app.settings import Settings
from bench import photos
from bench.peers.gateways import Gateway
from bench.peers.load_generator import Crowd
from bench.peers.measurement import counts
from bench.peers.workloads import Workload

CACHE_BYTES = int(Settings.model_fields["image_cache_bytes"].default)
_WORKLOAD = Workload("filling", "", 4, picture="large")


def fill(gateway: Gateway, upstream: str, size: int = CACHE_BYTES) -> None:
    """Ask about ever new pictures until ``size`` bytes of prepared ones were sent upstream."""
    uvloop.run(_filled(gateway, upstream, size))


async def _filled(gateway: Gateway, upstream: str, size: int) -> None:
    requests = gateway.dialect.requests(_WORKLOAD, photos.to_prepare())
    expectation = gateway.dialect.expectation(_WORKLOAD)
    full = counts(upstream).bytes + size * 4 / 3  # They are sent as base64.
    with closing(Crowd(gateway.url, _WORKLOAD.in_flight, expectation)) as crowd:
        while counts(upstream).bytes < full:
            tally = await crowd.press(requests, 0.5)
            if not tally.answered:
                raise RuntimeError(f"{gateway.name} answers no picture: {dict(tally.outcomes)}")
