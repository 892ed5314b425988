"""Every prepared picture is accepted by the emulator."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.adapters.bedrock.codecs import converse, invoke
from app.domain.errors import ImageError
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.image import ImageLimits, ReceivedImage
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.services.images.prepare import prepare
from tests.support.files.pictures import DATA
from tests.support.servers.uvicorn import serving

MODEL_ID = "us.meta.llama3-2-11b-instruct-v1:0"
REFUSED = {
    "jpeg-70-percent-lost-with-eoi.jpg",
    "jpeg-sos-components-swapped.jpg",
    "png-compression-method-128.png",
    "png-plte-between-idats.png",
    "png-rgb-depth-2.png",
}
"""Samples that no strict decoder opens, tested in `test_prepare_faulty_files`."""
SAMPLES = sorted(
    path
    for path in DATA.iterdir()
    if path.suffix in (".png", ".jpg", ".heic") and path.name not in REFUSED
)


@pytest.fixture(scope="module")
def bedrock() -> Iterator[Any]:
    with serving(create_emulator(EmulatorConfig(read_words=False))) as url:
        yield boto3.client(
            "bedrock-runtime",
            "us-east-1",
            endpoint_url=url,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )


def ask_both_ways(bedrock: Any, data: bytes) -> tuple[str, str]:
    """Prepare ``data`` and send it in both dialects; botocore raises on a refusal."""
    prepared = prepare(ReceivedImage(data), ImageLimits()).prepared
    request = ModelRequest(turns=(Turn(Role.USER, "What is this?", (prepared,)),))
    native = bedrock.invoke_model(modelId=MODEL_ID, body=b"".join(invoke.to_invoke(request)))
    messages = bedrock.converse(modelId=MODEL_ID, **converse.to_converse(request))
    return (
        json.loads(native["body"].read())["generation"],
        messages["output"]["message"]["content"][0]["text"],
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_accepted_in_both_dialects(bedrock, path):
    native, message = ask_both_ways(bedrock, path.read_bytes())

    assert "picture" in native
    assert "picture" in message


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([path for path in SAMPLES if path.stat().st_size < 500_000]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=6),
)
def test_a_damaged_file_is_refused_or_becomes_an_accepted_picture(bedrock, path, cuts):
    data = bytearray(path.read_bytes())
    for place, patch in cuts:
        at = int(place * len(data))
        data[at : at + len(patch)] = patch

    # An ImageError is a refusal; any other error, also botocore's, is a failure.
    answers = ("[emulator]", "[emulator]")
    with suppress(ImageError):
        answers = ask_both_ways(bedrock, bytes(data))

    assert all("[emulator]" in answer for answer in answers)
