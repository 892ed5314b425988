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
    """The configured model and how it is reached."""

    identity: ModelIdentity
    capabilities: Capabilities
    """The capabilities that all targets share."""
    targets: tuple[Target, ...]
    """The targets, in the order in which they are asked."""
    dialect_reason: str = ""
    """Why the first target's dialect is the one it is."""
    aliases: tuple[str, ...] = ()
    """Other names that requests may use for it."""

    def check_named(self, name: str) -> None:
        """Check that ``name`` is this model's, or raise UnknownModelError."""
        accepted = (self.identity.id, *self.names)
        if name not in accepted:
            raise UnknownModelError(
                f"model: {name[:200]!r} is not served here; accepted: {', '.join(accepted)}",
                errors=(FieldError("model", UnknownModelError.code, "is not served here"),),
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the model may be called beside its id."""
        configured = () if self.identity.alias is None else (self.identity.alias,)
        return (*configured, *self.aliases)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    request: float
    """Seconds from a request's arrival to its whole answer, unless the caller sets another time."""
    longest: float
    """The most that a caller may ask for."""
    heartbeat: float
    """Seconds of silence in a stream before a comment is sent."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Services for callers and operators rather than for answers."""

    authenticator: Authenticator
    limits: Limits
    usage: UsageLedger
    metrics: Metrics
    tracer: Tracer
    sinks: tuple[Sink, ...]
    """Receivers of each finished request's record."""
    remote: bool
    """Whether authentication or quotas ask another service, which may take its time."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, built once in `app.wiring.services`."""

    model: ServedModel
    guards: tuple[TargetGuard, ...]
    """The guard of each target and successor, in the order in which they are asked."""
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
    """Bytes of bodies and fetched pictures in flight."""
    files: FileService
    uploads: UploadService
    batches: BatchService
    batch_jobs: BatchJobs | None
    """Bedrock's own batch jobs, where the settings and the model allow them."""
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
    """The cipher that callers' data is kept by."""
    receipts: Receipts
    audit: AuditLog | None
    """None where there is none."""
    erasure: ErasureService
    proving: bool
    """Whether requests leave a trail of digests, for receipts or the audit log."""
    answers: KeptAnswers | None = None
    """The answer cache; None where nothing is kept."""
    events: BatchEvents | None = None
    """Begins batches of files that S3 reports; None where the settings name no caller."""
    batch_estimates: BatchEstimates | None = None
    """None until the application knows its own operations, which rows are sent to."""

    def asking(self, model: VisionModel) -> "Services":
        """Return the same services in front of another model, counted and limited nowhere."""
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
