"""Custom Model Import: the files under an S3 prefix, import jobs, imported models.

Source: botocore's service models of `s3` and `bedrock`; shapes are passed on in our own words.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from app.adapters.aws_session import aws_session

if TYPE_CHECKING:
    from types_aiobotocore_bedrock import BedrockClient
    from types_aiobotocore_s3 import S3Client

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Most bytes of a JSON file or template; the longest real one, an index, has about 0.1 MB."""
MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """An operator's request for an import."""

    name: str
    source: str
    """``s3://bucket/prefix/``."""
    role: str
    """ARN of the role that Bedrock reads the files with."""
    kms_key: str | None = None

    def token(self, attempt: int) -> str:
        """Return the client request token: the same import, asked again, is one job."""
        text = json.dumps([self.name, self.source, self.role, self.kms_key, attempt])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def job_name(self, attempt: int) -> str:
        """Return the job's name, at most 63 characters."""
        return f"{self.name[:50]}-{self.token(attempt)[:12]}"


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job, as Bedrock describes it."""

    arn: str
    name: str
    status: str
    """``InProgress``, ``Completed`` or ``Failed``."""
    created: datetime | None = None
    model_name: str | None = None
    model_arn: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """An imported model, as Bedrock describes it."""

    arn: str
    name: str
    created: datetime | None = None
    architecture: str | None = None
    units_per_copy: int | None = None
    """Custom Model Units that one running copy takes."""
    units_version: str | None = None


@dataclass(frozen=True, slots=True)
class BucketFiles:
    """The files under an S3 prefix."""

    region: str
    sizes: dict[str, int]
    documents: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelImports:
    """Calls of S3 and of Bedrock's control plane. Raises botocore's ClientError."""

    s3: "S3Client"
    bedrock: "BedrockClient"

    async def files(self, bucket: str, prefix: str, documents: Iterable[str]) -> BucketFiles:
        """Return names and sizes under ``prefix``, and the contents of ``documents``."""
        head = await self.s3.head_bucket(Bucket=bucket)
        sizes: dict[str, int] = {}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        async for page in pages:
            for entry in page.get("Contents", []):
                sizes[entry["Key"].removeprefix(prefix)] = entry["Size"]
            if len(sizes) > MAX_FILES:
                break
        # The markers that consoles make for folders.
        sizes = {name: size for name, size in sizes.items() if name and not name.endswith("/")}
        read = {
            name: await self._document(bucket, prefix + name, sizes[name])
            for name in documents
            if name in sizes
        }
        return BucketFiles(head.get("BucketRegion", ""), sizes, read)

    async def _document(self, bucket: str, key: str, size: int) -> object:
        if size > MAX_DOCUMENT_BYTES:
            return None
        reply = await self.s3.get_object(Bucket=bucket, Key=key)
        try:
            text = (await reply["Body"].read()).decode()
            document: object = json.loads(text) if key.endswith(".json") else text
            return document
        except ValueError:
            return None

    async def start(self, request: ImportRequest) -> str:
        """Start the import, or find the job that an earlier start made, and return its ARN.

        A job that failed is left behind, and the next attempt has a name of its own.
        """
        earlier = {job.name: job for job in await self.jobs()}
        attempt = 0
        while (job := earlier.get(request.job_name(attempt))) is not None:
            if job.status != "Failed":
                return job.arn
            attempt += 1
        key = {"importedModelKmsKeyId": request.kms_key} if request.kms_key else {}
        reply = await self.bedrock.create_model_import_job(
            jobName=request.job_name(attempt),
            importedModelName=request.name,
            roleArn=request.role,
            modelDataSource={"s3DataSource": {"s3Uri": request.source}},
            clientRequestToken=request.token(attempt),
            **key,  # type: ignore[arg-type]  # one optional member
        )
        return reply["jobArn"]

    async def job(self, arn: str) -> ImportJob:
        """Return the state of a job."""
        reply = await self.bedrock.get_model_import_job(jobIdentifier=arn)
        return ImportJob(
            arn=reply["jobArn"],
            name=reply["jobName"],
            status=reply["status"],
            created=reply.get("creationTime"),
            model_name=reply.get("importedModelName"),
            model_arn=reply.get("importedModelArn"),
            failure=reply.get("failureMessage"),
        )

    async def jobs(self) -> list[ImportJob]:
        """Return all import jobs, newest first."""
        pages = self.bedrock.get_paginator("list_model_import_jobs").paginate(
            sortBy="CreationTime", sortOrder="Descending"
        )
        return [
            ImportJob(
                arn=job["jobArn"],
                name=job["jobName"],
                status=job["status"],
                created=job.get("creationTime"),
                model_name=job.get("importedModelName"),
                model_arn=job.get("importedModelArn"),
            )
            async for page in pages
            for job in page.get("modelImportJobSummaries", [])
        ]

    async def models(self) -> list[ImportedModel]:
        """Return all imported models, with their units."""
        pages = self.bedrock.get_paginator("list_imported_models").paginate()
        names = [
            summary["modelArn"]
            async for page in pages
            for summary in page.get("modelSummaries", [])
        ]
        return [await self.model(name) for name in names]

    async def model(self, name_or_arn: str) -> ImportedModel:
        """Return one imported model."""
        reply = await self.bedrock.get_imported_model(modelIdentifier=name_or_arn)
        units = reply.get("customModelUnits", {})
        return ImportedModel(
            arn=reply["modelArn"],
            name=reply["modelName"],
            created=reply.get("creationTime"),
            architecture=reply.get("modelArchitecture"),
            units_per_copy=units.get("customModelUnitsPerModelCopy"),
            units_version=units.get("customModelUnitsVersion"),
        )

    async def delete(self, name_or_arn: str) -> None:
        """Delete an imported model; its files in the bucket stay."""
        await self.bedrock.delete_imported_model(modelIdentifier=name_or_arn)


@asynccontextmanager
async def open_imports(
    region: str, endpoint_url: str | None = None, s3_endpoint_url: str | None = None
) -> AsyncIterator[ModelImports]:
    """Open clients of S3 and of Bedrock's control plane."""
    session = aws_session()
    async with AsyncExitStack() as stack:
        s3 = session.client("s3", region_name=region, endpoint_url=s3_endpoint_url)
        bedrock = session.client("bedrock", region_name=region, endpoint_url=endpoint_url)
        yield ModelImports(
            await stack.enter_async_context(s3), await stack.enter_async_context(bedrock)
        )


def sentence(error: ClientError) -> str:
    """Return AWS's message, with its code."""
    error_body = error.response.get("Error", {})
    return f"{error.operation_name}: {error_body.get('Code', '')}: {error_body.get('Message', '')}"
