"""Answers the operations of guardrails and retrieval, with the faults in force for them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from app.emulator.control.request_log import Entry
from app.emulator.faults.delivery import Delivery, refuse
from app.emulator.faults.fault_schedule import FaultSchedule, Plan
from app.emulator.guardrails import checks
from app.emulator.guardrails.screening import Screening
from app.emulator.model.model import ToyModel
from app.emulator.retrieval.knowledge_bases import KnowledgeBases
from app.emulator.wire.errors import invalid
from app.emulator.wire.exchange import Exchange, Request
from app.emulator.wire.replies import JSON, request_id


@dataclass(frozen=True, slots=True)
class UnaryOperations:
    """Answers ApplyGuardrail, InvokeGuardrailChecks and Retrieve."""

    model: ToyModel
    screening: Screening
    knowledge: KnowledgeBases
    faults: FaultSchedule

    async def apply(
        self, exchange: Exchange, request: Request, log: Entry, identifier: str, version: str
    ) -> None:
        """Answer ApplyGuardrail, or raise an AwsError.

        ``identifier`` is percent-encoded, and may have faults behind it as a model id has.
        """
        log.operation = "ApplyGuardrail"
        name, *faults = unquote(identifier).split(".")
        log.model_id = name
        plan = self._plan(name, log.operation, tuple(faults))
        body = await self.screening.applied(name, version, request.body)
        await self._deliver(exchange, plan, log, body)

    async def check(self, exchange: Exchange, request: Request, log: Entry) -> None:
        """Answer InvokeGuardrailChecks, or raise an AwsError."""
        log.operation = "InvokeGuardrailChecks"
        plan = self._plan("", log.operation, ())
        size = len(request.body)
        body = await self.model.in_thread(lambda: checks.answer(request.body), size=size)
        await self._deliver(exchange, plan, log, body)

    async def retrieve(
        self, exchange: Exchange, request: Request, log: Entry, identifier: str
    ) -> None:
        """Answer Retrieve, or raise an AwsError. ``identifier`` is as in `apply`."""
        log.operation = "Retrieve"
        name, *faults = unquote(identifier).split(".")
        log.model_id = name
        plan = self._plan(name, log.operation, tuple(faults))
        body = await self.knowledge.retrieve(name, request.body)
        await self._deliver(exchange, plan, log, body)

    def _plan(self, name: str, operation: str, faults: tuple[str, ...]) -> Plan:
        try:
            return self.faults.plan(name, operation, faults)
        except ValueError as error:
            raise invalid(f"The provided identifier is invalid. [emulator: {error}]") from None

    async def _deliver(
        self, exchange: Exchange, plan: Plan, log: Entry, body: dict[str, Any]
    ) -> None:
        if plan.refusal is not None:
            log.status = await refuse(exchange, plan.refusal)
            return
        log.status = 200
        headers = [JSON, request_id()]
        work = Delivery(exchange, plan).whole(headers, orjson.dumps(body), tokens=1)
        if plan.immediate:
            await work
        else:
            await exchange.unless_client_leaves(work)
