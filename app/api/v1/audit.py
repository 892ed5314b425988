"""`/v1/audit`: the audit log's heads, records and proofs."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.api.errors import problem
from app.api.routing.context import Context, RequestContext
from app.domain import errors
from app.domain.merkle import leaf_hash
from app.services.audit.log import AuditLog, Head
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1/audit", tags=["operations"])


class HeadOut(DeferredModel):
    """The state of the log: its size, and a hash over all records."""

    size: Annotated[int, Field(description="Number of records.")]
    root: Annotated[str, Field(description="Root of the Merkle tree (RFC 9162), hexadecimal.")]
    signature: Annotated[
        str | None,
        Field(
            description="JWS (EdDSA) over size, root and time; null if no signing key is "
            "configured."
        ),
    ]

    @classmethod
    def from_domain(cls, head: Head) -> "HeadOut":
        """Render ``head``."""
        return cls(size=head.size, root=head.root.hex(), signature=head.signature)


class RecordOut(DeferredModel):
    """A record and the proof that it is in the log."""

    index: int
    record: Annotated[
        dict[str, Any] | None,
        Field(description="The record; null if retention has left only its hash."),
    ]
    raw: Annotated[
        str | None, Field(description="The bytes that were hashed: the record as canonical JSON.")
    ]
    leaf: Annotated[str, Field(description="The record's hash, hexadecimal.")]
    proof: Annotated[list[str], Field(description="Inclusion proof (RFC 9162), hexadecimal.")]
    head: HeadOut


class ConsistencyOut(DeferredModel):
    """The proof that nothing was removed or changed between two heads."""

    first: HeadOut
    second: HeadOut
    proof: Annotated[list[str], Field(description="Consistency proof (RFC 9162), hexadecimal.")]


Count = Annotated[
    int | None, Query(ge=0, description="Number of records that the head covers; by default all.")
]
DOCUMENTED = problem.responses(
    errors.InvalidParameterError,
    errors.InternalError,
    errors.AuditRecordMissingError,
    errors.AuditUnavailableError,
)


def _log(context: RequestContext) -> AuditLog:
    log = context.services.audit
    if log is None:
        raise errors.AuditRecordMissingError("there is no audit log: none is configured")
    return log


async def _head(log: AuditLog, size: int | None) -> Head:
    head = await log.head()
    if size is None or size == head.size:
        return head
    if size > head.size:
        raise errors.AuditRecordMissingError(f"the log has {head.size} records")
    return await log.head_at(size)


@router.get(
    "/head",
    operation_id="auditHead",
    summary="Show the audit log's signed head",
    description=(
        "Returns the signed head of the log. Keep heads: they prove later that no earlier "
        "record was changed."
    ),
    response_description="The head.",
    responses=DOCUMENTED,
)
async def head(context: Context, size: Count = None) -> HeadOut:
    return HeadOut.from_domain(await _head(_log(context), size))


@router.get(
    "/records/{index}",
    operation_id="auditRecord",
    summary="Show an audit record and prove that it is in the log",
    response_description="The record and its inclusion proof.",
    responses=DOCUMENTED,
)
async def record(
    context: Context, index: Annotated[int, Path(ge=0)], size: Count = None
) -> RecordOut:
    log = _log(context)
    head = await _head(log, size)
    if index >= head.size:
        raise errors.AuditRecordMissingError(f"the log has {head.size} records; the first is 0")
    raw = await log.store.record(index)
    (leaf,) = await log.store.nodes([(0, index)])
    if raw is not None and leaf_hash(raw) != leaf:
        # Returned as it is: the record was changed in the store, and the proof reveals that.
        raw = None
    return RecordOut(
        index=index,
        record=None if raw is None else orjson.loads(raw),
        raw=None if raw is None else raw.decode(),
        leaf=leaf.hex(),
        proof=[digest.hex() for digest in await log.inclusion(index, head.size)],
        head=HeadOut.from_domain(head),
    )


@router.get(
    "/consistency",
    operation_id="auditConsistency",
    summary="Prove that the audit log only grew",
    response_description="Two heads, and the proof that the second log extends the first.",
    responses=DOCUMENTED,
)
async def consistency(
    context: Context,
    first: Annotated[int, Query(ge=1, description="Number of records of the earlier head.")],
    second: Count = None,
) -> ConsistencyOut:
    log = _log(context)
    later = await _head(log, second)
    if first > later.size:
        raise errors.AuditRecordMissingError(f"the later head has {later.size} records")
    proof = await log.consistency(first, later.size)
    return ConsistencyOut(
        first=HeadOut.from_domain(await _head(log, first)),
        second=HeadOut.from_domain(later),
        proof=[digest.hex() for digest in proof],
    )
