"""Keeps an imported model's copy loaded, if the operator wants to pay for that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from app.domain.cost import WINDOW_SECONDS, UnitPrice
from app.domain.errors import ServiceError
from app.domain.generation import Completion, ModelRequest, Role, Sampling, Turn
from app.services.concurrency.task_scope import running
from app.services.model_stack.target import TargetGuard

SMALLEST = ModelRequest((Turn(Role.USER, "Hi"),), sampling=Sampling(max_gen_len=1))
DAY_SECONDS = 86_400

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeepWarm:
    """Makes a minimal call after ``idle`` seconds without one."""

    guards: Sequence[TargetGuard]
    ask: Callable[[ModelRequest], Awaitable[Completion]]
    idle: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def _announce(self) -> None:
        """Log that it is switched on, with the cost of a day if that is known."""
        log.warning(
            "the model is kept warm, which is billed", idle_seconds=self.idle, usd_a_day=self._day()
        )

    def _day(self) -> float | None:
        price = self.guards[0].price
        if not isinstance(price, UnitPrice) or price.units_per_copy is None:
            return None
        return round(price.window_cost * DAY_SECONDS / WINDOW_SECONDS, 2)

    async def run(self) -> None:
        """Keep the first target warm until cancelled."""
        starts, priced = self.guards[0].starts, self._day() is not None
        self._announce()
        while True:
            answered = starts.answered
            since = self.idle if answered is None else starts.clock() - answered
            if since >= self.idle:
                try:
                    await self.ask(SMALLEST)
                except ServiceError as error:
                    log.warning("the model was not kept warm", code=error.code)
                since = 0
                if not priced and self._day() is not None:
                    # Bedrock's units become known in the background while the service starts.
                    self._announce()
                    priced = True
            await self.sleep(max(1, self.idle - since))


@asynccontextmanager
async def kept_warm(keeper: KeepWarm | None) -> AsyncIterator[None]:
    """Run ``keeper``, if there is one, while the block runs."""
    if keeper is None:
        yield
        return
    async with running(keeper.run()):
        yield
