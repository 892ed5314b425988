"""DELETE /v1/cache: deletes cached answers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1", tags=["operations"])


class Purged(DeferredModel):
    """The number of answers removed."""

    deleted: Annotated[int, Field(description="Number of deleted answers.")]


class Selection(BaseModel):
    """Selects cached answers; all of them if neither field is given."""

    caller: Annotated[
        str | None, Field(description="Only answers to this key, token subject or address.")
    ] = None
    model: Annotated[str | None, Field(description="Only answers by this model id.")] = None


@router.delete(
    "/cache",
    operation_id="purgeCache",
    summary="Delete cached answers",
    description=(
        "Deletes cached answers: those to a caller, those by a model, or all. With the store "
        "`memory`, only the worker that handles the request deletes its answers."
    ),
    response_description="The number of answers deleted.",
    responses=problem.responses(
        errors.InvalidParameterError, errors.InternalError, errors.AnswerStoreError
    ),
)
async def purge(context: Context, selection: Annotated[Selection, Query()]) -> Purged:
    answers = context.services.answers
    if answers is None:
        return Purged(deleted=0)
    return Purged(deleted=await answers.purge(selection.caller, selection.model))
