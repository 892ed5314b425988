"""The four inference operations, from a request's body to the delivered answer."""

import time
from dataclasses import dataclass
from functools import partial

import orjson

from app.emulator.config import EmulatorConfig
from app.emulator.control.catalogue import Route, Target, on_demand_refused
from app.emulator.control.clock import today
from app.emulator.control.plane import ControlPlane
from app.emulator.control.request_log import Entry, rendered_ask
from app.emulator.faults.delivery import Delivery, refuse
from app.emulator.faults.fault_schedule import FaultSchedule, Plan
from app.emulator.guardrails.screening import Screening
from app.emulator.model.model import ToyModel
from app.emulator.wire.bodies import converse, imported_model, native, response, response_stream
from app.emulator.wire.bodies.conversation import Ask, NamedGuardrail
from app.emulator.wire.errors import RETIRED, AwsError, invalid
from app.emulator.wire.exchange import Exchange, Request
from app.emulator.wire.replies import JSON, metrics, ms_since, request_id


@dataclass(frozen=True, slots=True)
class Operation:
    """One of Bedrock's inference operations."""

    name: str
    converse: bool
    streams: bool


OPERATIONS = {
    "invoke": Operation("InvokeModel", converse=False, streams=False),
    "invoke-with-response-stream": Operation(
        "InvokeModelWithResponseStream", converse=False, streams=True
    ),
    "converse": Operation("Converse", converse=True, streams=False),
    "converse-stream": Operation("ConverseStream", converse=True, streams=True),
}


@dataclass(frozen=True, slots=True)
class Inference:
    """Answers inference requests with a `ToyModel`."""

    config: EmulatorConfig
    model: ToyModel
    faults: FaultSchedule
    control: ControlPlane
    screening: Screening

    async def serve(
        self, exchange: Exchange, operation: Operation, target: Target, request: Request, log: Entry
    ) -> None:
        """Answer one request, or raise an AwsError."""
        started = time.perf_counter()
        plan = self._plan(operation, target)
        self._check_life(target)
        guarded = None if operation.converse else _guard_headers(request)
        ask = await self._ask(operation, target, request, guarded)
        keep = partial(rendered_ask, ask, prompt=self.config.record_prompts)
        log.ask = await self.model.in_thread(keep, size=len(ask.prompt))
        if plan.refusal is not None:
            log.status = await refuse(exchange, plan.refusal)
            return
        if target.route is Route.IMPORTED:
            self.control.call(target.name)
        work = self._answer(Delivery(exchange, plan), operation, target, ask, started)
        log.status = 200
        if self._waits(plan, operation, ask):
            await exchange.unless_client_leaves(work)
        else:
            await work

    def _plan(self, operation: Operation, target: Target) -> Plan:
        try:
            return self.faults.plan(target.name, operation.name, target.faults)
        except ValueError as error:
            raise invalid(
                f"The provided model identifier is invalid. [emulator: {error}]"
            ) from None

    def _check_life(self, target: Target) -> None:
        if target.route is Route.FOUNDATION and not self.config.allow_bare_model_id:
            raise on_demand_refused(target)
        end = self.config.end_of_life.get(target.model.id)
        if target.route in (Route.FOUNDATION, Route.PROFILE) and end and today() >= end:
            raise AwsError(RETIRED)

    def _waits(self, plan: Plan, operation: Operation, ask: Ask) -> bool:
        """Whether the caller could leave before the answer is sent."""
        return bool(operation.streams or not plan.immediate or ask.pictures)

    async def _ask(
        self, operation: Operation, target: Target, request: Request, guarded: NamedGuardrail | None
    ) -> Ask:
        decode = self.config.fixed_answer is None
        if operation.converse:
            parse = partial(converse.parse, request.body, decode=decode)
        else:
            native_parse = imported_model.parse if target.route is Route.IMPORTED else native.parse
            parse = partial(native_parse, request.body, guarded, decode=decode)
        return await self.model.in_thread(parse, size=len(request.body))

    async def _answer(
        self, delivery: Delivery, operation: Operation, target: Target, ask: Ask, started: float
    ) -> None:
        answer = await self.screening.answer(ask)
        if operation.streams:
            frames = response_stream.frames(ask, answer, target.short_name, started)
            await delivery.stream(response_stream.headers(ask.format), frames)
            return
        latency = ms_since(started)
        body = response.rendered(ask, answer, target.short_name, latency)
        headers = [JSON, request_id()]
        if not operation.converse:
            headers += metrics(answer, latency)
        await delivery.whole(headers, orjson.dumps(body), len(answer.pieces))


def _guard_headers(request: Request) -> NamedGuardrail | None:
    identifier = request.headers.get(b"x-amzn-bedrock-guardrailidentifier", b"").decode()
    version = request.headers.get(b"x-amzn-bedrock-guardrailversion", b"").decode()
    if bool(identifier) != bool(version):
        raise invalid("guardrailIdentifier and guardrailVersion must be given together.")
    if not identifier:
        return None
    trace = request.headers.get(b"x-amzn-bedrock-trace", b"DISABLED")
    return NamedGuardrail(identifier, version, trace != b"DISABLED")
