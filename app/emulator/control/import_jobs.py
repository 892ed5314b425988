"""Import jobs: each runs for a while, and ends with a model or the reason of its failure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from app.emulator.config import EmulatorConfig
from app.emulator.control import import_request, paging
from app.emulator.control.imported_model import ImportedModel, instant
from app.emulator.control.imported_models import ImportedModels
from app.emulator.wire.errors import CONFLICT, NOT_FOUND, QUOTA, AwsError

MOST_RUNNING = 10

FAILURES = {
    "no-access": (
        "Amazon Bedrock could not read the model files. Check that the role can read the S3"
        " location: s3:GetObject and s3:ListBucket."
    ),
    "no-kms-access": (
        "Amazon Bedrock could not decrypt the model files. Check the KMS key's policy."
    ),
    "no-config": "The model files hold no config.json.",
    "no-weights": "The model files hold no .safetensors files.",
    "no-tokenizer": "The model files hold no tokenizer.json or tokenizer_config.json.",
    "no-chat-template": "The model files hold no chat template.",
    "unsupported-architecture": "The model's architecture is not supported for import.",
    "unsupported-version": "The model was saved with an unsupported version of transformers.",
    "context-too-long": "The model's context of max_position_embeddings is not supported.",
    "too-large": "The model files exceed the largest size that can be imported.",
    "corrupt-weights": "A .safetensors file could not be read.",
    "internal": "The import failed because of an internal error. Try again.",
}
"""Last part of the S3 prefix to the message of the job's failure, in the emulator's own words."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """One import: its request and its outcome."""

    arn: str
    model_arn: str
    name: str
    model_name: str
    role: str
    source: str
    created: float
    """Seconds since 1970."""
    ends: float
    failure: str | None
    kms_key_arn: str | None
    vpc: dict[str, Any] | None
    token: str | None
    asked: dict[str, Any]

    def status(self, now: float) -> str:
        """Return ``InProgress``, ``Completed`` or ``Failed``."""
        if now < self.ends:
            return "InProgress"
        return "Failed" if self.failure else "Completed"


class ImportJobs:
    """The account's import jobs, and their models."""

    def __init__(
        self, config: EmulatorConfig, models: ImportedModels, now: Callable[[], float]
    ) -> None:
        self._config = config
        self._models = models
        self._now = now
        self._jobs: dict[str, ImportJob] = {}
        self._settled: set[str] = set()

    def settle(self) -> None:
        """Add the models of the jobs that have ended."""
        now = self._now()
        for job in self._jobs.values():
            if job.status(now) == "Completed" and job.arn not in self._settled:
                self._settled.add(job.arn)
                self._models.add(
                    ImportedModel(
                        job.model_arn,
                        job.model_name,
                        job.ends,
                        self._config.cold_start_seconds,
                        job.arn,
                        job.name,
                        job.source,
                        job.kms_key_arn,
                    )
                )

    def create(self, body: bytes) -> dict[str, Any]:
        """Return CreateModelImportJob, or raise a 400."""
        fields = import_request.checked(body)
        earlier = self._repeated(fields)
        if earlier is not None:
            return {"jobArn": earlier.arn}
        self._check_free(fields)
        job = self._made(fields)
        self._jobs[job.arn] = job
        return {"jobArn": job.arn}

    def _repeated(self, fields: dict[str, Any]) -> ImportJob | None:
        """Return the job of the same client request token, or raise a 400 if it differs."""
        token = fields.get("clientRequestToken")
        jobs = (job for job in self._jobs.values() if token is not None and job.token == token)
        earlier = next(jobs, None)
        if earlier is not None and earlier.asked != fields:
            raise AwsError(
                CONFLICT, "The clientRequestToken was used before with other parameters."
            )
        return earlier

    def _check_free(self, fields: dict[str, Any]) -> None:
        now, model_name = self._now(), fields["importedModelName"]
        running = [job for job in self._jobs.values() if job.status(now) == "InProgress"]
        if len(running) >= MOST_RUNNING:
            raise AwsError(QUOTA, f"At most {MOST_RUNNING} import jobs run at a time.")
        if any(job.name == fields["jobName"] for job in self._jobs.values()):
            raise AwsError(CONFLICT, f"The job name {fields['jobName']} is already in use.")
        if any(job.model_name == model_name for job in running):
            raise AwsError(CONFLICT, f"The imported model name {model_name} is already in use.")
        self._models.check_free(model_name)

    def _made(self, fields: dict[str, Any]) -> ImportJob:
        region, account, now = self._config.region, self._config.account, self._now()
        source = fields["modelDataSource"]["s3DataSource"]["s3Uri"]
        return ImportJob(
            arn=f"arn:aws:bedrock:{region}:{account}:model-import-job/{uuid4().hex[:12]}",
            model_arn=self._models.arn(uuid4().hex[:12]),
            name=fields["jobName"],
            model_name=fields["importedModelName"],
            role=fields["roleArn"],
            source=source,
            created=now,
            ends=now + self._config.import_seconds,
            failure=FAILURES.get(source.rstrip("/").rpartition("/")[2]),
            kms_key_arn=_key_arn(fields.get("importedModelKmsKeyId"), region, account),
            vpc=fields.get("vpcConfig"),
            token=fields.get("clientRequestToken"),
            asked=fields,
        )

    def details(self, identifier: str) -> dict[str, Any]:
        """Return GetModelImportJob of an ARN, an id or a name, or raise a 404."""
        for job in self._jobs.values():
            if identifier in (job.arn, job.arn.rpartition("/")[2], job.name):
                return self._details(job)
        raise AwsError(NOT_FOUND, f"The import job {identifier} was not found.")

    def _details(self, job: ImportJob) -> dict[str, Any]:
        known = {
            **self._summary(job),
            "roleArn": job.role,
            "modelDataSource": {"s3DataSource": {"s3Uri": job.source}},
            "failureMessage": job.failure if job.status(self._now()) == "Failed" else None,
            "vpcConfig": job.vpc,
            "importedModelKmsKeyArn": job.kms_key_arn,
        }
        return {key: value for key, value in known.items() if value is not None}

    def _summary(self, job: ImportJob) -> dict[str, Any]:
        status = job.status(self._now())
        ended = status != "InProgress"
        known = {
            "jobArn": job.arn,
            "jobName": job.name,
            "importedModelName": job.model_name,
            "importedModelArn": job.model_arn if status == "Completed" else None,
            "status": status,
            "creationTime": instant(job.created),
            "lastModifiedTime": instant(job.ends if ended else job.created),
            "endTime": instant(job.ends) if ended else None,
        }
        return {key: value for key, value in known.items() if value is not None}

    def summaries(self, query: bytes) -> dict[str, Any]:
        """Return ListModelImportJobs: filtered, sorted and paged as asked."""
        wanted = {key: values[0] for key, values in parse_qs(query.decode()).items()}
        jobs = [
            job
            for job in self._jobs.values()
            if wanted.get("statusEquals") in (None, job.status(self._now()))
        ]
        chosen = paging.selected(jobs, wanted, lambda job: job.name, lambda job: job.created)
        page, token = paging.page(chosen, wanted)
        return {"modelImportJobSummaries": [self._summary(job) for job in page], **token}


def _key_arn(key: str | None, region: str, account: str) -> str | None:
    """Return the ARN of a KMS key; an alias gets an invented key."""
    if key is None or key.rpartition(":key/")[1]:
        return key
    identifier = "00000000-0000-0000-0000-000000000000" if "alias/" in key else key
    return f"arn:aws:kms:{region}:{account}:key/{identifier}"
