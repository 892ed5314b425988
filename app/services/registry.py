"""The use cases that the API may call."""

from dataclasses import dataclass, replace

from opentelemetry.trace import Tracer

from app.domain.errors import FieldError, UnknownModelError
from app.domain.generation import Target
from app.domain.model import Capabilities, ModelIdentity
from app.domain.ports import (
    Authenticator,
    BatchJobs,
    DataCipher,
    Readiness,
    VisionModel,
    WorkQueue,
)
from app.services.access.limits import Limits, Unlimited
from app.services.audit.log import AuditLog
from app.services.batches.estimate import BatchEstimates
from app.services.batches.events import BatchEvents
from app.services.batches.service import BatchService
from app.services.cache.answers import KeptAnswers
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.erasure.service import ErasureService
from app.services.files.service import FileService
from app.services.files.uploads import UploadService
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.guardrails.policies import GuardrailPolicies
from app.services.jobs.service import Jobs
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.services.model_stack.target import TargetGuard
from app.services.receipts.issuer import Receipts
from app.services.residency.sentinel import ResidencySentinel
from app.services.retrieval.service import RagService
from app.services.task_runner.service import TaskService
from app.services.usage.ledger import UsageLedger
from app.services.webhooks.service import Webhooks
from app.services.work.worker import Worker
from app.telemetry import Sink
from app.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The configured model and its targets."""

    identity: ModelIdentity
    capabilities: Capabilities
    """The capabilities that all targets share."""
    targets: tuple[Target, ...]
    """The targets, in the order in which they are tried."""
    dialect_reason: str = ""
    """Why the first target uses its dialect."""
    aliases: tuple[str, ...] = ()
    """Other names that requests may use for the model."""

    def check_named(self, name: str) -> None:
        """Check that ``name`` names this model, or raise UnknownModelError."""
        accepted = (self.identity.id, *self.names)
        if name not in accepted:
            raise UnknownModelError(
                f"model: {name[:200]!r} is not served here; accepted: {', '.join(accepted)}",
                errors=(FieldError("model", UnknownModelError.code, "is not served here"),),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that requests may use beside the model's id."""
        configured = () if self.identity.alias is None else (self.identity.alias,)
        return (*configured, *self.aliases)


@dataclass(frozen=True, slots=True)
class Timing:
    """Time limits of requests and streams, in seconds."""

    request: float
    """Default time limit from a request's arrival to its complete answer."""
    longest: float
    """The longest time limit that a caller may set."""
    heartbeat: float
    """Silence in a stream before a comment is sent."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Services for operation and access rather than for answers."""

    authenticator: Authenticator
    limits: Limits
    usage: UsageLedger
    metrics: Metrics
    tracer: Tracer
    sinks: tuple[Sink, ...]
    """Receivers of the record of each finished request."""
    remote: bool
    """Whether authentication or quotas call another service over the network."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, built once in `app.wiring.services`."""

    model: ServedModel
    guards: tuple[TargetGuard, ...]
    """The guard of each target and successor, in the order in which they are tried."""
    generations: GenerationService
    preparations: PreparationService
    tasks: TaskService
    structured: StructuredService
    rag: RagService
    readiness: Readiness
    timing: Timing
    estimates: EstimateService
    operations: Operations
    drain: Drain
    room: Budget
    """The budget of bytes in flight, for bodies and fetched images."""
    files: FileService
    uploads: UploadService
    batches: BatchService
    batch_jobs: BatchJobs | None
    """Bedrock's batch jobs, or None if the settings or the model do not allow them."""
    guardrails: GuardrailPolicies
    queue: WorkQueue
    """The queue of batches and jobs."""
    worker: Worker
    """The worker that runs them in this process."""
    webhooks: Webhooks
    jobs: Jobs
    residency: ResidencySentinel
    lifecycle: LifecycleSentinel
    cipher: DataCipher
    """The cipher that encrypts callers' stored data."""
    receipts: Receipts
    audit: AuditLog | None
    """The audit log, or None if it is off."""
    erasure: ErasureService
    proving: bool
    """Whether requests record a trail of digests for receipts or the audit log."""
    answers: KeptAnswers | None = None
    """The answer cache, or None if it is off."""
    events: BatchEvents | None = None
    """Creates batches from S3 events; None if the settings name no caller for them."""
    batch_estimates: BatchEstimates | None = None
    """Estimates of batches; None until the application has compiled the operations for rows."""

    def asking(self, model: VisionModel) -> "Services":
        """Return the same services with another ``model`` and without metering or limits."""
        generations = replace(self.generations, model=model)
        asker = replace(self.tasks.asker, generate=generations.generate)
        limits = self.operations.limits
        unlimited = Unlimited(limits.limiter, {}, limits.metrics)
        return replace(
            self,
            generations=generations,
            tasks=replace(self.tasks, generations=generations, asker=asker),
            structured=replace(self.structured, asker=asker),
            operations=replace(self.operations, sinks=(), limits=unlimited),
        )
