"""The emulator's configuration, filled by its command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal


def default_guardrails() -> Mapping[str, tuple[str, ...]]:
    """Return the guardrails that exist when none is configured: a small and a strict one."""
    return {
        "emulator": ("blockme",),
        "strict": (
            "blockme",
            r"regex:SECRET-\d+",
            r"mask-regex:CASE-\d+",
            "pii:US_SOCIAL_SECURITY_NUMBER",
            "mask-pii:EMAIL",
            "mask-pii:PHONE",
            "colour:red",
            "picture-word:blockme",
        ),
    }


def default_imported_models() -> Mapping[str, str]:
    """Return the one imported model that exists when none is configured."""
    return {"llama32vis11": "llama-3-2-11b-vision"}


def default_knowledge_bases() -> Mapping[str, str]:
    """Return the one knowledge base that exists when none is configured: sample documents."""
    return {"SAMPLEKB01": str(Path(__file__).parent / "data" / "documents")}


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """All options of one emulator. The defaults suit a newcomer on one machine."""

    auth: Literal["any", "verify"] = "any"
    """``any`` lets every caller in; ``verify`` checks signatures and API keys."""
    access_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Access key id to secret access key, for ``verify``."""
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    """Bedrock API keys accepted as bearer tokens, for ``verify``."""
    region: str = "us-east-1"
    """Named in the ARNs of the control plane and required in a signature's scope."""
    account: str = "123456789012"
    fixed_answer: str | None = None
    """The answer to every request, if set; pictures are then not decoded."""
    allow_bare_model_id: bool = False
    """Serve a foundation-model id without an inference profile."""
    end_of_life: Mapping[str, date] = field(default_factory=dict)
    """Foundation-model id to the day from which it answers as retired."""
    inference_profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of an inference profile to the ARNs of its models, beside and before the catalogue's."""
    guardrail_profiles: Mapping[str, str] = field(default_factory=dict)
    """Guardrail identifier to its cross-region profile, where it has one."""
    imported_models: Mapping[str, str] = field(default_factory=default_imported_models)
    """Id to name of the imported models that exist from the start."""
    listed_imports_only: bool = False
    """Refuse the ARNs of imported models that were not imported here."""
    cold_start_seconds: float = 0
    """Seconds to load an imported model without a copy; 0 loads at once."""
    idle_seconds: float = 300
    """Seconds without a call after which the copy of an imported model is unloaded."""
    import_seconds: float = 2
    """Seconds for which an import job runs."""
    s3_endpoint: str | None = None
    """The S3 server that batch inference jobs read from and write to; without one they fail."""
    batch_seconds: float = 2
    """Seconds for which a batch inference job runs, besides the time for its answers."""
    batch_least_records: int = 100
    """The fewest records that a batch inference job may have."""
    custom_model_units: int = 2
    """Units that a copy of an imported model takes."""
    admin_token: str | None = field(default=None, repr=False)
    """The token for the admin endpoints, except health."""
    admin_open: bool = True
    """Serve the admin endpoints without a token where none is given; for loopback only."""
    faults: tuple[str, ...] = ()
    """Faults of every call, in the spelling of `app.emulator.faults.spelling`."""
    guardrails: Mapping[str, tuple[str, ...]] = field(default_factory=default_guardrails)
    """Guardrail identifier to its rules, in the spelling of `app.emulator.guardrails.policy`."""
    knowledge_bases: Mapping[str, str] = field(default_factory=default_knowledge_bases)
    """Knowledge base id, ten letters and digits, to the folder of its documents."""
    seed: int = 0
    """Varies the wording of answers whose temperature is above 0."""
    record_prompts: bool = False
    """Keep prompt texts in the record of requests; otherwise their digests only."""
    recorded_requests: int = 1000
    """Number of the latest requests that are recorded."""
    workers: int = 2
    """Threads that decode pictures and read words in them."""
    read_words: bool = True
    """Look for words in pictures where the OCR engine is installed."""
