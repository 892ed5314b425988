"""The four operations that ask the model, from a request's body to an answer to deliver."""

import time
from dataclasses import dataclass, replace
from functools import partial

import orjson

from app.emulator import guardrail
from app.emulator.config import EmulatorConfig
from app.emulator.control.catalogue import Route, Target, on_demand_refused
from app.emulator.control.clock import today
from app.emulator.control.plane import ControlPlane
from app.emulator.control.request_log import Entry, rendered_ask
from app.emulator.faults.delivery import Delivery
from app.emulator.faults.fault_schedule import FaultSchedule, Plan
from app.emulator.faults.spelling import GatewayReply
from app.emulator.guardrail import Guardrail
from app.emulator.model.logprobs import Spoken
from app.emulator.model.model import ToyModel
from app.emulator.wire import bodies, converse, imported, native, streams
from app.emulator.wire.conversation import Answer, Ask, Guarded, GuardOutcome
from app.emulator.wire.errors import RETIRED, AwsError, ErrorKind, invalid
from app.emulator.wire.exchange import Exchange, Request
from app.emulator.wire.replies import JSON, metrics, ms_since, request_id


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to ask."""

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

    async def serve(
        self, exchange: Exchange, operation: Operation, target: Target, request: Request, log: Entry
    ) -> None:
        """Answer one request, or raise what it earns."""
        started = time.perf_counter()
        plan = self._plan(operation, target)
        self._check_life(target)
        guarded = None if operation.converse else _guard_headers(request)
        ask = await self._ask(operation, target, request, guarded)
        keep = partial(rendered_ask, ask, prompt=self.config.record_prompts)
        log.ask = await self.model.in_thread(keep, size=len(ask.prompt))
        if isinstance(plan.refusal, ErrorKind):
            raise AwsError(plan.refusal)
        if plan.refusal is not None:
            log.status = plan.refusal.status
            await _as_gateway(exchange, plan.refusal)
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
        """Whether the caller could leave before the answer is out."""
        return bool(operation.streams or not plan.immediate or ask.pictures)

    async def _ask(
        self, operation: Operation, target: Target, request: Request, guarded: Guarded | None
    ) -> Ask:
        decode = self.config.fixed_answer is None
        if operation.converse:
            parse = partial(converse.parse, request.body, decode=decode)
        else:
            native_parse = imported.parse if target.route is Route.IMPORTED else native.parse
            parse = partial(native_parse, request.body, guarded, decode=decode)
        return await self.model.in_thread(parse, size=len(request.body))

    async def _answer(
        self, delivery: Delivery, operation: Operation, target: Target, ask: Ask, started: float
    ) -> None:
        answer = await self._guarded(ask) if ask.guarded else await self._free(ask)
        if operation.streams:
            frames = streams.frames(ask, answer, target.short_name, started)
            await delivery.stream(streams.headers(ask.format), frames)
            return
        latency = ms_since(started)
        body = bodies.rendered(ask, answer, target.short_name, latency)
        headers = [JSON, request_id()]
        if not operation.converse:
            headers += metrics(answer, latency)
        await delivery.whole(headers, orjson.dumps(body), len(answer.pieces))

    async def _free(self, ask: Ask) -> Answer:
        return await self.model.answer(ask, await self.model.speech(ask))

    async def _guarded(self, ask: Ask) -> Answer:
        assert ask.guarded is not None
        guard = guardrail.found(self.config.guardrails, ask.guarded.identifier, ask.guarded.version)
        question = guard.judge("\n".join(turn.text for turn in ask.turns))
        if question.blocked:
            return _intervened(
                await self.model.answer(ask, Spoken(guardrail.BLOCKED)), guard, ask, question
            )
        return await self._judged(guard, ask, question)

    async def _judged(self, guard: Guardrail, ask: Ask, question: guardrail.Verdict) -> Answer:
        verdict = guard.judge((await self._free(ask)).text)
        answer = await self.model.answer(ask, Spoken(verdict.text))
        if verdict.intervened:
            return _intervened(answer, guard, ask, question, verdict)
        outcome = GuardOutcome(intervened=False, trace=_trace(guard, ask, question, verdict))
        return replace(answer, guard=outcome)


def _intervened(
    answer: Answer,
    guard: Guardrail,
    ask: Ask,
    question: guardrail.Verdict,
    verdict: guardrail.Verdict | None = None,
) -> Answer:
    outcome = GuardOutcome(intervened=True, trace=_trace(guard, ask, question, verdict))
    return replace(answer, stop="guardrail", guard=outcome)


def _trace(
    guard: Guardrail,
    ask: Ask,
    question: guardrail.Verdict,
    verdict: guardrail.Verdict | None,
) -> dict[str, object] | None:
    if ask.guarded is None or not ask.guarded.trace:
        return None
    asked = sum(len(turn.text) for turn in ask.turns)
    trace: dict[str, object] = {
        "input": {guard.identifier: guardrail.assessment(question, asked, ask.picture_count)}
    }
    if verdict is not None:
        said = guardrail.assessment(verdict, len(verdict.text))
        trace["outputs"] = {guard.identifier: said}
    return trace


def _guard_headers(request: Request) -> Guarded | None:
    identifier = request.headers.get(b"x-amzn-bedrock-guardrailidentifier", b"").decode()
    version = request.headers.get(b"x-amzn-bedrock-guardrailversion", b"").decode()
    if bool(identifier) != bool(version):
        raise invalid("guardrailIdentifier and guardrailVersion must be given together.")
    if not identifier:
        return None
    trace = request.headers.get(b"x-amzn-bedrock-trace", b"DISABLED")
    return Guarded(identifier, version, trace != b"DISABLED")


async def _as_gateway(exchange: Exchange, reply: GatewayReply) -> None:
    headers = [(b"content-type", reply.content_type.encode())]
    if reply.retry_after is not None:
        headers.append((b"retry-after", str(reply.retry_after).encode()))
    await exchange.reply(reply.status, headers, reply.body.encode())
