"""Opens Amazon Bedrock's own batch jobs, if the settings and the model allow them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.bedrock.batch import BatchPlace, open_batch_jobs
from app.adapters.sources import s3
from app.domain.batch_job import BatchJobRules
from app.domain.guardrail import Kind
from app.domain.model import Dialect, ModelKind, identify
from app.domain.ports import BatchJobs
from app.settings import PREFIX, Settings
from app.wiring.model import connection

KINDS = (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE)
"""The kinds of models that Amazon Bedrock runs batch jobs with."""


def unavailable(settings: Settings) -> str | None:
    """Return why no batch job can be made with these settings; None if one can."""
    target = settings.targets[0]
    if not target.dialect.is_bedrock:
        return "the model is served by another server than Amazon Bedrock"
    if identify(target.model_id, settings.identity.base.key).kind not in KINDS:
        return (
            "Amazon Bedrock runs batch jobs of foundation models and inference profiles only, not "
            "of imported models"
        )
    if target.dialect not in (Dialect.INVOKE, Dialect.CONVERSE):
        return f"batch jobs have no form for the dialect {target.dialect}"
    if settings.guardrail_kind is Kind.MODEL:
        return (
            "the guardrail is Bedrock's own within the calls of the model, and a batch job has none"
        )
    if settings.batch_jobs_place is None:
        return f"the operator has not set {PREFIX}BATCH_JOBS_LOCATION"
    return None


@asynccontextmanager
async def open_jobs(
    session: aioboto3.Session, settings: Settings
) -> AsyncIterator[BatchJobs | None]:
    """Open the batch jobs of the first target; None if batch jobs are unavailable."""
    place = settings.batch_jobs_place
    if unavailable(settings) is not None or place is None:
        yield None
        return
    target, endpoint = settings.targets[0], settings.batch_jobs_endpoint_url
    assert settings.batch_jobs_role is not None
    async with open_batch_jobs(
        session,
        connection(settings, target.region),
        s3.Connection(target.region, str(endpoint) if endpoint else None, settings.read_timeout),
        (target.model_id, target.dialect),
        BatchPlace(*place, settings.batch_jobs_role, settings.batch_jobs_kms_key),
        BatchJobRules(least_records=settings.batch_jobs_least),
    ) as jobs:
        yield jobs
