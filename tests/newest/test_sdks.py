"""The newest releases of boto3 and openai call the service: a text, a picture, a stream."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.files.pictures import DATA
from tests.support.programs.newest import Answers
from tests.support.servers.nginx import balancer
from tests.support.servers.tls import authority

PICTURE = DATA / "astronaut.png"
SEEN = "[fake 1 image(s)] What is in this picture?"


@pytest.fixture
def by_boto3(newest_answers: Answers, service_url: str) -> dict[str, Any]:
    return newest_answers("aws.py", service_url, str(PICTURE))


@pytest.fixture
def by_openai(newest_answers: Answers, service_url: str) -> dict[str, Any]:
    return newest_answers("openai_chat.py", service_url, str(PICTURE))


def numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".")[:2])


def test_the_newest_boto3_gets_a_text_a_picture_and_a_stream_answered(by_boto3):
    assert by_boto3["text"] == "[fake 0 image(s)] Why?"
    assert by_boto3["picture"] == SEEN
    assert by_boto3["stream"] == SEEN
    assert by_boto3["deltas"] > 1
    assert "Why?" in by_boto3["native"]


def test_the_newest_openai_gets_a_text_a_picture_and_a_stream_answered(by_openai):
    assert by_openai["text"] == "[fake 0 image(s)] Why?"
    assert by_openai["picture"] == SEEN
    assert by_openai["stream"] == SEEN
    assert by_openai["deltas"] > 1
    assert by_openai["models"]


def test_the_aws_sdk_for_javascript_works_unchanged_through_nginx(
    newest_answers: Answers, service_url: str, tmp_path: Path
) -> None:
    trusted = authority(tmp_path)
    certificate = tmp_path / "certificate.pem"
    trusted.issue(certificate)
    port = httpx.URL(service_url).port
    assert port is not None
    with balancer(port, certificate=certificate) as url:
        said = newest_answers(
            "aws_http2.mjs",
            url,
            str(PICTURE),
            NODE_EXTRA_CA_CERTS=str(trusted.path),
            AWS_BEARER_TOKEN_BEDROCK="any",
        )

    assert said["handler"] == "NodeHttp2Handler"
    assert said["picture"] == SEEN
    assert said["stream"] == SEEN
    assert said["deltas"] > 1
    assert "Why?" in said["native"]
    assert said["refused"] == "ValidationException"


@pytest.mark.parametrize(("package", "said"), [("boto3", "by_boto3"), ("openai", "by_openai")])
def test_the_newest_sdks_are_no_older_than_those_of_the_other_tests(package, said, request):
    newest = request.getfixturevalue(said)["version"]

    assert numbers(newest) >= numbers(version(package))
