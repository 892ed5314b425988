"""Answers a job's records, each as a call of its own, and writes their lines of the output."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from app.emulator.config import EmulatorConfig
from app.emulator.faults.fault_schedule import FaultSchedule
from app.emulator.faults.spelling import GatewayReply
from app.emulator.guardrails.screening import Screening
from app.emulator.model.model import ToyModel
from app.emulator.wire.bodies import converse, native, response
from app.emulator.wire.bodies.conversation import Ask
from app.emulator.wire.errors import MODEL_ERROR, AwsError

OPERATION = "BatchInference"
"""The name by which faults of a job's records are installed."""


@dataclass(frozen=True, slots=True)
class Records:
    """Answers records with a `ToyModel`."""

    config: EmulatorConfig
    model: ToyModel
    faults: FaultSchedule
    screening: Screening

    async def answered(
        self, record: dict[str, Any], model_id: str, *, as_converse: bool, failing: bool
    ) -> dict[str, Any]:
        """Return the record's line of the output; its input is echoed, as AWS does."""
        try:
            output = await self._output(record["modelInput"], model_id, as_converse, failing)
        except AwsError as error:
            told = {"errorCode": error.kind.status, "errorMessage": error.message}
            return {**record, "error": told}
        return {**record, "modelOutput": output}

    async def _output(
        self,
        model_input: object,
        model_id: str,
        as_converse: bool,
        failing: bool,
    ) -> dict[str, Any]:
        refusal = self.faults.plan(model_id, OPERATION).refusal
        if failing:
            refusal = MODEL_ERROR
        if refusal is not None:
            kind = MODEL_ERROR if isinstance(refusal, GatewayReply) else refusal
            raise AwsError(kind)
        body = orjson.dumps(model_input)
        ask = await self.model.in_thread(partial(self._parsed, body, as_converse), size=len(body))
        answer = await self.screening.answer(ask)
        return response.rendered(ask, answer, model_id, 1)

    def _parsed(self, body: bytes, as_converse: bool) -> Ask:
        decode = self.config.fixed_answer is None
        if as_converse:
            return converse.parse(body, decode=decode)
        return native.parse(body, None, decode=decode)
