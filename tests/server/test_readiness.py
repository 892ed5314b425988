"""Readiness of a running service reports what only its operator can fix."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.identity.credentials import CredentialsCheck
from app.domain.errors import NotReadyError
from tests.support.clients.metrics import value
from tests.support.servers.redis import redis_server
from tests.support.service.emulated import model_arn
from tests.support.service.serve_command import service


@pytest.fixture
def refusing_redis(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a Redis whose user may not run scripts."""
    with redis_server(tmp_path) as url, redis.from_url(url) as client:
        rules = ("reset", "on", ">hunter2", "~*", "+@all", "-@scripting")
        client.execute_command("ACL", "SETUSER", "limited", *rules)
        yield url.replace("redis://", "redis://limited:hunter2@")


def unready(answer: httpx.Response) -> str:
    """Return what a readiness answer reports as missing."""
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    return str(answer.json()["detail"])


def test_an_unreachable_rate_limit_store_shows_in_readiness_and_a_metric(
    tmp_path, emulator_url, refusing_redis
):
    counted = {"limits_store": "redis", "redis_url": refusing_redis}
    with service(tmp_path, emulator_url, **counted, limits='{"tokens": "5/day"}') as (client, _):
        said = unready(client.get("/readyz"))
        assert client.post("/v1/generate", json={"prompt": "Why?"}).is_success
        metrics = client.get("/metrics").text

    assert "EVALSHA" in said
    assert "hunter2" not in said
    assert value(metrics, "llama_vision_limiter_failures_total") >= 1


def test_credentials_refused_by_bedrock_show_in_readiness(tmp_path, emulator_url):
    with service(tmp_path, emulator_url, model_id=model_arn("bad-key")) as (client, _):
        before = client.get("/readyz")
        refused = client.post("/v1/generate", json={"prompt": "Why?"})
        said = unready(client.get("/readyz"))

    assert before.is_success
    assert refused.json()["code"] == "upstream_credentials"
    assert "refused the service's credentials" in said


async def test_an_unknown_profile_shows_in_readiness(monkeypatch):
    check = CredentialsCheck(aws_session())
    # A Redis that refuses at the start would stop it.
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(NotReadyError, match="AWS_PROFILE: AWS's configuration has no profile"):
        await check.check()
