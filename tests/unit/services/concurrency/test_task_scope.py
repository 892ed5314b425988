import asyncio

import pytest

from app.services.concurrency.task_scope import running


async def test_background_work_has_ended_when_the_block_is_left():
    began, ended = asyncio.Event(), []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def block() -> None:
        async with running(work()):
            await began.wait()
            assert not ended
            raise KeyError

    with pytest.raises(KeyError):
        await block()
    assert ended
