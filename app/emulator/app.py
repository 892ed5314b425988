"""The emulator as an ASGI application: one port for the runtime, the control plane and itself."""

import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from app.emulator.batch.jobs import Answer, InvocationJobs
from app.emulator.batch.records import Records
from app.emulator.batch.run import Run
from app.emulator.config import EmulatorConfig
from app.emulator.control import admin, catalogue, request_log
from app.emulator.control.admin import Admin
from app.emulator.control.plane import ControlPlane
from app.emulator.control.request_log import Entry, RequestLog
from app.emulator.faults.delivery import Delivery, refuse
from app.emulator.faults.fault_schedule import FaultSchedule
from app.emulator.guardrails.screening import Screening
from app.emulator.inference import OPERATIONS, Inference
from app.emulator.model import vocabulary
from app.emulator.model.model import ToyModel
from app.emulator.retrieval.knowledge_bases import KnowledgeBases
from app.emulator.unary_operations import UnaryOperations
from app.emulator.wire import auth
from app.emulator.wire.errors import UNKNOWN_OPERATION, AwsError, ErrorKind
from app.emulator.wire.exchange import (
    ClientLeftError,
    Exchange,
    HungUpError,
    Receive,
    Request,
    Scope,
    Send,
)
from app.emulator.wire.replies import JSON, request_id

_log = logging.getLogger(__name__)


class Emulator:
    """A stand-in for Amazon Bedrock. Made by `create_emulator`; holds all of its state."""

    def __init__(self, config: EmulatorConfig) -> None:
        # Copies that the admin endpoints may change: a model's end, a profile's models.
        config = replace(
            config,
            end_of_life=dict(config.end_of_life),
            inference_profiles=dict(config.inference_profiles),
        )
        words = vocabulary.load()
        self._config = config
        self._model = ToyModel(config, words)
        self._faults = FaultSchedule(config.faults)
        self._requests = RequestLog(config.recorded_requests)
        self._gate = auth.gate(config)
        self._control = ControlPlane(config)
        screening = Screening(config, self._model)
        self._inference = Inference(config, self._model, self._faults, self._control, screening)
        records = Records(config, self._model, self._faults, screening)
        self._batch = InvocationJobs(config, Run(config, records, time.time))
        self._knowledge = KnowledgeBases(config.knowledge_bases, self._model)
        self._unary = UnaryOperations(self._model, screening, self._knowledge, self._faults)
        self._admin = Admin(
            config,
            self._faults,
            self._requests,
            self._control.models,
            self._control.foundation,
            {"vocabulary": words.name, "reads_words": self._model.reads},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._knowledge.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._batch.close()
        await self._knowledge.close()
        self._model.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, exchange: Exchange) -> None:
        try:
            request = await exchange.request()
        except AwsError as error:
            await _refuse(exchange, error)
        except ClientLeftError:
            _log.debug("a caller left before its request was whole")
        else:
            await self._handle(exchange, request)

    async def _handle(self, exchange: Exchange, request: Request) -> None:
        if request.path.startswith(admin.PREFIX):
            status, body = self._admin.answer(request)
            await exchange.reply(status, [JSON], orjson.dumps(body))
            return
        entry = self._requests.open(request)
        try:
            await self._route(exchange, request, entry)
            entry.outcome = (
                request_log.ANSWERED if entry.status in (200, 201) else request_log.REFUSED
            )
        except AwsError as error:
            entry.status, entry.outcome = error.kind.status, request_log.REFUSED
            await _refuse(exchange, error)
        except ClientLeftError:
            entry.outcome = request_log.CLIENT_LEFT
        except HungUpError:
            entry.outcome = request_log.HUNG_UP
            # The server takes a return before it has noticed the hang-up for an error.
            await exchange.left()
        except Exception:
            entry.outcome = request_log.FAILED
            raise

    async def _route(self, exchange: Exchange, request: Request, entry: Entry) -> None:
        admit = partial(self._gate.admit, request)
        await self._model.in_thread(admit, size=len(request.body))
        parts = [part.decode("latin-1") for part in request.path.split(b"/")[1:]]
        match request.method, parts:
            case "POST", ["model", model, name] if name in OPERATIONS:
                operation = OPERATIONS[name]
                entry.operation = operation.name
                target = catalogue.resolve(unquote(model))
                entry.model_id = target.name
                await self._inference.serve(exchange, operation, target, request, entry)
            case "POST", ["guardrail", name, "version", version, "apply"]:
                await self._unary.apply(exchange, request, entry, name, version)
            case "POST", ["guardrail-checks", "invoke"]:
                await self._unary.check(exchange, request, entry)
            case "POST", ["knowledgebases", name, "retrieve"]:
                await self._unary.retrieve(exchange, request, entry, name)
            case _ if (job := self._batch.operation(request, parts)) is not None:
                await self._answer_batch(exchange, entry, *job)
            case _:
                await self._answer_control(exchange, request, parts, entry)

    async def _answer_batch(
        self, exchange: Exchange, entry: Entry, operation: str, answer: Answer
    ) -> None:
        """Run the operation, and answer unless a fault loses the answer."""
        entry.operation = operation
        plan = self._faults.plan("", operation)
        if plan.refusal is not None:
            entry.status = await refuse(exchange, plan.refusal)
            return
        body = orjson.dumps(answer())
        entry.status = 200
        await Delivery(exchange, plan).whole([JSON, request_id()], body, tokens=1)

    async def _answer_control(
        self, exchange: Exchange, request: Request, parts: list[str], entry: Entry
    ) -> None:
        named = self._control.operation(request.method, parts, request.query, request.body)
        if named is None:
            raise AwsError(UNKNOWN_OPERATION)
        entry.operation, status, answer = named
        self._refuse_if_planned(entry.operation)
        await self._reply(exchange, entry, answer(), status)

    def _refuse_if_planned(self, operation: str) -> None:
        refusal = self._faults.plan("", operation).refusal
        if isinstance(refusal, ErrorKind):
            raise AwsError(refusal)

    async def _reply(
        self, exchange: Exchange, entry: Entry, body: dict[str, Any], status: int = 200
    ) -> None:
        entry.status = status
        await exchange.reply(status, [JSON, request_id()], orjson.dumps(body))


async def _refuse(exchange: Exchange, error: AwsError) -> None:
    await exchange.reply(error.kind.status, [*error.headers, request_id()], error.body)


def create_emulator(config: EmulatorConfig | None = None) -> Emulator:
    """Return an emulator, ready to be served by uvicorn. Reads the vocabulary: half a second."""
    return Emulator(config or EmulatorConfig())
