"""The page docs/settings.md, generated from the settings."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings.access import AccessSettings
from app.settings.audit import AuditSettings
from app.settings.batch_jobs import BatchJobSettings
from app.settings.bedrock import BedrockSettings
from app.settings.cache import CacheSettings
from app.settings.encryption import EncryptionSettings
from app.settings.environment import PREFIX
from app.settings.events import EventSettings
from app.settings.evidence import EvidenceSettings
from app.settings.guardrails import GuardrailSettings
from app.settings.images import ImageSettings
from app.settings.jobs import JobSettings
from app.settings.lifecycle import LifecycleSettings
from app.settings.receipts import ReceiptSettings
from app.settings.residency import ResidencySettings
from app.settings.retrieval import RetrievalSettings
from app.settings.server import ServerSettings
from app.settings.stores import StoreSettings
from app.settings.telemetry import TelemetrySettings
from app.settings.tls import TlsSettings
from app.settings.webhooks import WebhookSettings
from app.settings.work import WorkSettings

TOPICS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Server", ServerSettings),
    ("TLS", TlsSettings),
    ("Amazon Bedrock", BedrockSettings),
    ("Pictures", ImageSettings),
    ("Documents", RetrievalSettings),
    ("Evidence and documents", EvidenceSettings),
    ("Access and limits", AccessSettings),
    ("Guardrails", GuardrailSettings),
    ("Answer cache", CacheSettings),
    ("Stores", StoreSettings),
    ("Jobs", JobSettings),
    ("Bedrock's batch jobs", BatchJobSettings),
    ("Webhooks", WebhookSettings),
    ("Files, batches and jobs", WorkSettings),
    ("Events of AWS Lambda", EventSettings),
    ("Encryption", EncryptionSettings),
    ("Residency", ResidencySettings),
    ("Lifecycle", LifecycleSettings),
    ("Receipts", ReceiptSettings),
    ("Audit", AuditSettings),
    ("Telemetry and prices", TelemetrySettings),
)

INTRODUCTION = """\
# Settings

The service reads its settings from the environment and from a `.env` file in the working directory;
the environment wins. A wrong or unknown setting stops the start with a line that names it. `make
settings` writes this page from `app/settings`; a test compares.

AWS credentials are not settings of the service. They come from the AWS SDK's own chain: the
environment (`AWS_ACCESS_KEY_ID` …), a profile (`AWS_PROFILE`), a container or instance role, or a
Bedrock API key in `AWS_BEARER_TOKEN_BEDROCK`. The API key wins over all the others and is read
once, at the start. `HTTPS_PROXY`, `NO_PROXY` and `AWS_CA_BUNDLE` mean what they mean to the AWS
SDK; a call through a proxy costs 0.1 ms more CPU.
"""


def document() -> str:
    """Return the page in Markdown, without a final newline."""
    return "\n".join((INTRODUCTION, *(_section(title, topic) for title, topic in TOPICS))).rstrip()


def _section(title: str, topic: type[BaseModel]) -> str:
    return "\n".join(
        (f"## {title}", "", "| variable | default | meaning |", "|---|---|---|", *_rows(topic), "")
    )


def _rows(topic: type[BaseModel]) -> Iterator[str]:
    for name, field in topic.model_fields.items():
        yield f"| `{PREFIX}{name.upper()}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    """Return the default as it is written in the environment."""
    value = getattr(field.default, "value", field.default)
    if value is None:
        return ""
    return f"`{','.join(value) if isinstance(value, tuple) and value else value}`"
