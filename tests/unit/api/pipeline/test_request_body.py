"""Reading a request's body, and disconnects meanwhile."""

import asyncio
from typing import Any

import pytest

from app.api.errors.problem import RaisedWhileReading
from app.api.pipeline.connection import RequestChannel
from app.api.pipeline.request_body import GRACE, BodyTiming, BoundedReceive
from app.services.concurrency.budget import Budget, Reservation
from app.services.concurrency.deadline import Drain
from tests.support.service.request_context import request_context

BODY = {"type": "http.request", "body": b"0123456789", "more_body": False}


async def incoming(
    receive: Any, channel: RequestChannel | None = None, **options: Any
) -> BoundedReceive:
    held = Budget("bytes", 100, 1).open("someone", 50)
    task: Any = asyncio.current_task()
    loop = asyncio.get_running_loop()
    return BoundedReceive(
        receive=receive,
        held=held,
        max_bytes=options.get("max_bytes", 100),
        timing=BodyTiming(options.get("patience", 60), options.get("least_rate", 4096)),
        begun=loop.time() - options.get("since", 0),
        due=loop.time() + options.get("due", 600),
        drain=options.get("drain", Drain()),
        request=task,
        channel=channel,
        context=options.get("context") or request_context(),
    )


async def test_a_disconnect_after_the_body_cancels_the_request():
    leave = asyncio.Event()
    messages = [BODY]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    found = await incoming(receive)
    assert await found() == BODY
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(30)

    assert found.left
    assert await found() == {"type": "http.disconnect"}
    found.close()
    asyncio.current_task().uncancel()  # type: ignore[union-attr]


async def test_a_disconnect_before_the_end_of_the_body_cancels_the_request():
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    found = await incoming(receive, RequestChannel())
    with pytest.raises(asyncio.CancelledError):
        await found()

    assert found.left
    asyncio.current_task().uncancel()  # type: ignore[union-attr]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_connection_cancels_the_request_once_its_body_is_read(when):
    channel = RequestChannel()

    async def receive() -> dict[str, Any]:
        if when == "before":
            channel.lose()
        return BODY

    found = await incoming(receive, channel)
    await found()
    if when == "after":
        channel.lose()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(30)

    assert found.left
    asyncio.current_task().uncancel()  # type: ignore[union-attr]


async def test_a_connection_lost_after_the_answer_cancels_nothing():
    channel = RequestChannel()

    async def receive() -> dict[str, Any]:
        return BODY

    found = await incoming(receive, channel)
    await found()
    found.close()
    channel.lose()
    await asyncio.sleep(0)

    assert not found.left


async def test_memory_that_the_body_does_not_need_is_returned():
    async def receive() -> dict[str, Any]:
        return BODY

    found = await incoming(receive, RequestChannel())
    await found()

    assert isinstance(found.held, Reservation)
    assert found.held.amount == len(BODY["body"])  # type: ignore[arg-type]


async def test_a_body_over_the_limit_is_refused_while_it_is_read():
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 8, "more_body": True}

    found = await incoming(receive, RequestChannel(), max_bytes=10)
    await found()
    with pytest.raises(RaisedWhileReading, match="more than 10 bytes"):
        await found()


async def test_a_disconnect_after_the_complete_answer_cancels_nothing():
    channel, context = RequestChannel(), request_context()
    context.answered = True

    async def receive() -> dict[str, Any]:
        return BODY

    found = await incoming(receive, channel, context=context)
    await found()
    channel.lose()
    await asyncio.sleep(0)

    assert not found.left
    assert await found() == {"type": "http.disconnect"}


async def test_reading_a_refused_body_again_raises_the_same_error():
    messages = [BODY]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        raise AssertionError("the server has no more messages")

    found = await incoming(receive, max_bytes=5)
    for _ in range(2):
        with pytest.raises(RaisedWhileReading) as raised:
            await found()
        assert raised.value.error.code == "body_too_large"


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ({"patience": 0, "due": 60}, "body_timeout"),
        ({"patience": 600, "due": 60, "since": GRACE}, "body_timeout"),
        ({"patience": 60, "due": 0}, "deadline_exceeded"),
    ],
)
async def test_a_body_that_does_not_arrive_is_refused_at_the_nearest_of_its_timeouts(bounds, code):
    found = await incoming(never, RequestChannel(), **bounds)
    with pytest.raises(RaisedWhileReading) as raised:
        await found()

    assert raised.value.error.code == code


async def test_the_time_allowed_for_a_body_grows_as_it_arrives():
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    found = await incoming(receive, RequestChannel(), least_rate=10)
    assert found._until() - found.begun == GRACE
    await found()

    assert found._until() - found.begun == GRACE + 5


async def test_waiting_for_memory_does_not_count_towards_a_bodys_timeout():
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    found = await incoming(receive, RequestChannel())
    others = await found.held.budget.hold(100)
    begun = found.begun
    asyncio.get_running_loop().call_later(0.01, others.release)
    await found()

    assert found.begun > begun
    assert found.held.amount == 50


async def test_a_body_still_arriving_when_the_service_closes_is_refused_for_that_reason():
    drain = Drain()
    found = await incoming(never, RequestChannel(), drain=drain)
    asyncio.get_running_loop().call_soon(drain.close)
    for _ in range(2):
        with pytest.raises(RaisedWhileReading) as raised:
            await found()
        assert raised.value.error.code == "shutting_down"


async def test_a_body_that_has_arrived_is_not_waited_for():
    drain = Drain()
    drain.close()
    channel = RequestChannel(whole=True)
    channel.keep(b"0123456789")

    found = await incoming(never, channel, drain=drain, due=-1)
    assert (await found())["body"] == b"0123456789"
