"""Opens the audit log."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import aioboto3
import orjson
from pydantic_core import to_jsonable_python

from app import __version__
from app.adapters.audit.files import AuditFiles
from app.adapters.audit.s3_heads import S3Heads
from app.adapters.sources import s3
from app.domain.ports import DataCipher
from app.services.audit.changes import KeyChanges
from app.services.audit.log import AuditLog, AuditStore, Head, Publish, logged
from app.services.concurrency.task_scope import running
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.services.receipts.issuer import Receipts
from app.services.registry import Operations
from app.services.residency.sentinel import ResidencySentinel
from app.settings import Settings
from app.telemetry.metrics import Metrics


@asynccontextmanager
async def open_audit_log(
    session: aioboto3.Session,
    settings: Settings,
    cipher: DataCipher,
    receipts: Receipts,
    metrics: Metrics,
) -> AsyncIterator[AuditLog | None]:
    """Open the audit log and the tasks that write it; None if the log is off."""
    if settings.audit_store == "off":
        yield None
        return
    async with AsyncExitStack() as stack:
        days = settings.audit_retention_days
        log = AuditLog(
            store=await stack.enter_async_context(open_audit_store(settings)),
            cipher=cipher,
            metrics=metrics,
            signer=receipts.signer if receipts.enabled else None,
            refuses=settings.audit_failure == "refuse",
            head_interval=settings.audit_head_interval,
            retention=None if days is None else timedelta(days=days),
            publish=await stack.enter_async_context(_publishers(session, settings)),
        )
        log.note("start", _configuration(settings))
        try:
            async with running(log.run()), running(log.tend()):
                yield log
        finally:
            await log.flush()


def audited(
    operations: Operations,
    log: AuditLog | None,
    changes: KeyChanges,
    residency: ResidencySentinel,
    lifecycle: LifecycleSentinel,
) -> Operations:
    """Return ``operations`` that note each request in ``log``.

    From now on the log also notes changes of keys, residency and lifecycles.
    """
    if log is None:
        return operations
    changes.attach(log)
    residency.attach(log.note)
    lifecycle.note = log.note
    return replace(operations, sinks=(*operations.sinks, log))


@asynccontextmanager
async def open_audit_store(settings: Settings) -> AsyncIterator[AuditStore]:
    """Open the audit log's store."""
    if settings.audit_store == "postgres":
        # An optional dependency: only services that keep data there install it.
        from app.adapters.audit.postgres import open_audit

        assert settings.postgres_url is not None
        async with open_audit(settings.postgres_url.get_secret_value()) as store:
            yield store
        return
    files = AuditFiles(settings.data_directory / "audit")
    try:
        yield files
    finally:
        files.threads.close()


@asynccontextmanager
async def _publishers(
    session: aioboto3.Session, settings: Settings
) -> AsyncIterator[tuple[Publish, ...]]:
    if settings.audit_heads_bucket is None:
        yield (logged,)
        return
    endpoint = settings.image_s3_endpoint_url
    connection = s3.Connection(
        settings.image_s3_region or settings.region, str(endpoint) if endpoint else None
    )
    bucket, _, prefix = settings.audit_heads_bucket.partition("/")
    async with s3.open_client(session, connection) as client:
        heads = S3Heads(client, bucket, f"{prefix}/" if prefix else "")

        async def put(head: Head) -> None:
            if head.signature is not None:
                await heads.put(head.size, head.signature)

        yield (logged, put)


def _configuration(settings: Settings) -> dict[str, object]:
    """Return facts that tell configurations apart and reveal no secret."""
    fields = to_jsonable_python(settings, exclude_none=True)
    named = sorted(name.upper() for name in settings.model_fields_set)
    digest = sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return {"service": f"llama-vision/{__version__}", "settings_sha256": digest, "set": named}
