"""The real gateways in front of the stand-in, which looks at nothing: so the emulator does."""

import pytest

from bench.measuring import measure
from bench.photos import Picture
from bench.standing import standing
from bench.verdict import TAKEN, verdict
from bench.workloads import Shape, Workload
from tests.support.images import encoded, photo
from tests.support.process import running

FITTING = Picture(encoded(photo(), "JPEG"))
LARGE = Picture(encoded(photo(1600, 1200), "JPEG"))
TEXT = Workload("text", "", 1)
STREAM = Workload("stream", "", 1, Shape.STREAM)
PICTURE = Workload("picture", "", 1, picture="100 KB")
FORM = Workload("form", "", 1, Shape.FORM, "100 KB")


@pytest.fixture(scope="module")
def stand():
    with standing(["ours", "naive"]) as found:
        yield found


@pytest.fixture(scope="module")
def emulator():
    with running("app.emulator", "--port", "0", "--no-read-words") as found:
        yield found.url


@pytest.fixture
def gateway(stand, request):
    return next(each for each in stand.gateways if each.name == request.param)


@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize("gateway", ["ours", "naive"], indirect=True)
@pytest.mark.parametrize(
    ("workload", "picture"), [(TEXT, None), (STREAM, None), (PICTURE, FITTING)], ids=lambda _: ""
)
def test_the_model_takes_what_each_gateway_sends(stand, emulator, gateway, workload, picture):
    assert verdict(gateway, workload, picture, stand.upstream_url, emulator) == TAKEN


@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize(
    ("gateway", "workload", "taken"),
    [("ours", PICTURE, True), ("ours", FORM, True), ("naive", PICTURE, False)],
    indirect=["gateway"],
)
def test_a_large_picture_is_taken_of_the_gateway_that_prepares_it(
    stand, emulator, gateway, workload, taken
):
    said = verdict(gateway, workload, LARGE, stand.upstream_url, emulator)

    assert said == TAKEN if taken else "1600x1200" in said


@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize(
    ("gateway", "workload"),
    [("direct", TEXT), ("ours", TEXT), ("naive", STREAM)],
    indirect=["gateway"],
)
def test_a_run_counts_every_answer_and_what_it_took(stand, gateway, workload):
    run = measure(stand, gateway, workload, None, number=1, seconds=0)

    assert (run.answered, run.failed, run.upstream_requests) == (1, 0, 1)
    assert run.upstream_bytes
    assert run.p50
    assert run.peak_mib > 10
