import asyncio
from contextlib import closing

from bench.soak.load import Caller, post
from bench.soak.overload import PROMPT
from bench.soak.service import rig


def test_the_benchmarked_service_requires_keys_as_in_production():
    async def statuses(rig):
        with closing(Caller(rig.url)) as caller:
            keys = (rig.key, "of-no-one")
            return [(await caller.ask(post("/v1/generate", PROMPT, key))).status for key in keys]

    with rig("first-token-1ms") as it:
        assert asyncio.run(statuses(it)) == [200, 401]
