"""Names are looked up once, in threads reserved for it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.adapters.http1.resolver import AddressInfo, Resolver, look_up

HERE: Sequence[AddressInfo] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class Names:
    """A look-up function that answers when released."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: list[str] = []
        self.go = threading.Event()
        self.failing = False

    def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append(host)
        self.threads.append(threading.current_thread().name)
        assert self.go.wait(30)
        if self.failing:
            raise socket.gaierror("not known")
        return HERE


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    found = Names()
    yield found
    found.go.set()


@pytest.fixture
async def threads() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, thread_name_prefix="names") as pool:
        yield pool


async def test_concurrent_calls_share_one_look_up_and_later_ones_need_none(names, threads):
    resolver = Resolver(threads, names)
    waiting = [asyncio.create_task(resolver.resolve("a.test", 80)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.go.set()
    answers = await asyncio.gather(*waiting[1:])

    assert [*answers, await resolver.resolve("a.test", 80)] == [HERE] * 5
    assert names.asked == ["a.test"]
    assert names.threads[0].startswith("names")


async def test_a_name_is_looked_up_again_after_it_expires_or_none_of_its_addresses_answered(
    names, threads
):
    names.go.set()
    old = Resolver(threads, names, keep=0)
    await old.resolve("a.test", 80)
    await old.resolve("a.test", 80)
    kept = Resolver(threads, names)
    await kept.resolve("b.test", 80)
    kept.forget("b.test", 80)
    await kept.resolve("b.test", 80)

    assert names.asked == ["a.test", "a.test", "b.test", "b.test"]


async def test_a_failure_reaches_all_waiting_calls_and_is_not_cached(names, threads):
    resolver = Resolver(threads, names)
    names.failing = True
    waiting = [asyncio.create_task(resolver.resolve("a.test", 80)) for _ in range(2)]
    await asyncio.sleep(0)
    names.go.set()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    names.failing = False

    assert [type(error) for error in failed] == [socket.gaierror] * 2
    assert await resolver.resolve("a.test", 80) == HERE


async def test_slow_look_ups_take_no_thread_from_other_work(names, threads):
    resolver = Resolver(threads, names)
    waiting = [asyncio.create_task(resolver.resolve(f"{n}.test", 80)) for n in range(50)]
    await asyncio.sleep(0)

    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 30) == "done"
    names.go.set()
    assert await asyncio.gather(*waiting) == [HERE] * 50


async def test_the_number_of_cached_names_is_bounded(names, threads):
    names.go.set()
    resolver = Resolver(threads, names)
    for n in range(300):
        await resolver.resolve(f"{n}.test", 80)

    assert len(resolver._known) <= 256


def test_the_systems_resolver_resolves_the_loopback_name():
    assert ("127.0.0.1", 80) in [entry[4] for entry in look_up("127.0.0.1", 80)]
