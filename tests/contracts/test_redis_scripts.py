"""Readiness reports a Redis that refuses the scripts of rate limits, but not an absent one."""

from collections.abc import Iterator

import pytest
import redis

from app.adapters.stores.redis_scripts import open_scripts_check
from app.domain.errors import NotReadyError
from tests.support.servers.redis import redis_server


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a Redis whose users these tests may change."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


def user(url: str, *rules: str) -> str:
    """Create a user with these rules, and return the URL with its credentials."""
    with redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">hunter2", *rules)
    return url.replace("redis://", "redis://limited:hunter2@")


async def check(url: str) -> None:
    async with open_scripts_check(url) as opened:
        await opened.check()


async def test_a_working_redis_is_ready(own_redis):
    await check(own_redis)
    await check(user(own_redis, "~*", "+@all"))


@pytest.mark.parametrize(
    "rules",
    [("~*", "+@all", "-@scripting"), ("~other:*", "+@all")],
    ids=["no scripts", "other keys"],
)
async def test_a_redis_that_refuses_scripts_or_keys_is_not_ready_and_says_what_it_needs(
    own_redis, rules
):
    with pytest.raises(NotReadyError) as refused:
        await check(user(own_redis, *rules))

    assert "EVALSHA" in refused.value.detail
    assert "hunter2" not in refused.value.detail


async def test_a_wrong_password_is_not_ready(own_redis):
    with pytest.raises(NotReadyError, match="AuthenticationError"):
        await check(user(own_redis, "~*", "+@all").replace("hunter2", "hunter3"))


async def test_an_unreachable_redis_passes_the_check_of_scripts():
    await check("redis://127.0.0.1:1/0")
