"""``Prefer: respond-async`` (RFC 7240): a request becomes a job, which is the answer at once."""

import math
import re
from collections.abc import Mapping

from fastapi import Response
from starlette.types import Receive

from app.api.routing import preferences
from app.api.routing.context import RequestContext
from app.api.routing.decode import ReadBody, whole_body
from app.api.routing.headers import DECIDING
from app.api.routing.operation import Operation
from app.api.v1.jobs import serialize
from app.domain.errors import InvalidParameterError
from app.domain.job import Job, JobRequest

LONGEST_WAIT = 60.0
"""Maximum seconds of the preference ``wait``."""
_GENERATING = re.compile(
    r"/v1/(generate(/upload)?|chat/completions|responses|rag/query|tasks/[a-z-]+(/upload)?)"
    r"|/model/.+/(invoke|converse)"
)
_SECONDS = re.compile("[0-9]{1,9}")
# Other headers concern the connection or the caller, who is stored apart and without the key.
_STORED_HEADERS = ("content-type", *sorted(DECIDING))
PREFERENCE = "respond-async"


def generates(path: str) -> bool:
    """Tell whether ``path`` calls the model and its answer may be fetched later."""
    return _GENERATING.fullmatch(path) is not None


def wanted(context: RequestContext, path: str) -> bool:
    """Tell whether the request at ``path`` asks to be answered later, and can be."""
    return PREFERENCE in _preferences(context) and generates(path)


def _preferences(context: RequestContext) -> Mapping[str, str]:
    return preferences.parsed(context.options.values.prefer or "")


def _wait(context: RequestContext) -> float:
    """Return the seconds that the caller waits for the answer itself, 0 if it does not."""
    seconds = _preferences(context).get("wait", "")
    return min(LONGEST_WAIT, float(seconds)) if _SECONDS.fullmatch(seconds) else 0


async def accept(
    context: RequestContext, operation: Operation, path: str, receive: Receive
) -> Response:
    """Validate the request, store it as a job, and return the job or its answer."""
    body = await whole_body(receive)
    arguments = await operation.bound(context, ReadBody(body, None))
    if getattr(arguments.get(operation.body or ""), "stream", False):
        raise InvalidParameterError.at(
            "stream",
            "an answer that is fetched later is not streamed; /v1/jobs/{id}/events reports its "
            "progress",
        )
    jobs = context.services.jobs
    job = await jobs.submit(
        JobRequest(
            path,
            _headers(context, operation),
            body,
            context.id,
            context.lasting_caller,
            context.options.values.webhook_url,
        )
    )
    if seconds := _wait(context):
        async with context.services.drain.before(math.inf):
            job = await jobs.wait(context.call.caller.id, job.id, seconds)
    return _answer(job)


def _answer(job: Job) -> Response:
    headers = {"Location": f"/v1/jobs/{job.id}", "Preference-Applied": PREFERENCE}
    if job.answer is None:
        return Response(serialize.job(job, None), 202, headers, "application/json")
    headers["content-type"] = job.answer.media_type
    return Response(job.answer.body, job.answer.status, headers)


def _headers(context: RequestContext, operation: Operation) -> dict[str, str]:
    names = (*_STORED_HEADERS, *(header.decode() for _, header, _ in operation.texts))
    return {
        name: context.headers[name.encode()].decode("latin-1")
        for name in names
        if name.encode() in context.headers
    }
