"""The guardrail that Bedrock runs within a call: its parameters and its report. Pure.

InvokeModel takes it in headers, Converse in ``guardrailConfig``. Source: botocore's service model.
"""

from collections.abc import Mapping

from app.adapters.bedrock.codecs.json import member
from app.adapters.bedrock.guardrails import assessments
from app.domain.generation import ModelRequest
from app.domain.guardrail import GuardrailPolicy, GuardrailReport

ACTION = "amazon-bedrock-guardrailAction"
INTERVENED = "INTERVENED"
"""The value of `ACTION` for a blocked or masked text."""
TRACE = "amazon-bedrock-trace"
"""The member of InvokeModel's answers that `report` reads."""
_HEADER = "X-Amzn-Bedrock-"
_INTERVENED = "guardrail_intervened"
_NONE: Mapping[str, str] = {}


def headers(request: ModelRequest) -> Mapping[str, str]:
    """Return the headers of InvokeModel that ask for the request's guardrail."""
    policy = request.guardrail
    if policy is None:
        return _NONE
    return {
        f"{_HEADER}GuardrailIdentifier": policy.id,
        f"{_HEADER}GuardrailVersion": policy.version,
        f"{_HEADER}Trace": "ENABLED",
    }


def config(policy: GuardrailPolicy, *, streamed: bool) -> dict[str, str]:
    """Return Converse's ``guardrailConfig``."""
    asked = {
        "guardrailIdentifier": policy.id,
        "guardrailVersion": policy.version,
        "trace": "enabled",
    }
    # Each piece is checked before Bedrock sends it.
    return {**asked, "streamProcessingMode": "sync"} if streamed else asked


def report(answer: object) -> GuardrailReport | None:
    """Return the guardrail's report in InvokeModel's answer or last chunk, or None."""
    trace = member(member(answer, TRACE), "guardrail")
    if not isinstance(answer, dict) or not (trace or ACTION in answer):
        return None
    return assessments.report(intervened=answer.get(ACTION) == INTERVENED, trace=trace)


def converse_report(answer: object, stop: object) -> GuardrailReport | None:
    """Return the guardrail's report in a Converse answer or a stream's metadata, or None."""
    trace = member(member(answer, "trace"), "guardrail")
    return assessments.report(intervened=stop == _INTERVENED, trace=trace) if trace else None
