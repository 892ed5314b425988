"""What an emulator is told when it starts. Read from nowhere: the command line fills it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal


def default_guardrails() -> Mapping[str, tuple[str, ...]]:
    """Return the one guardrail that exists when none is configured."""
    return {"emulator": ("blockme",)}


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """Every knob of one emulator. The defaults serve a newcomer on one machine."""

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
    """Every answer, when given; no picture is decoded then."""
    allow_bare_model_id: bool = False
    """Serve a foundation-model id without an inference profile."""
    end_of_life: Mapping[str, date] = field(default_factory=dict)
    """Foundation-model id to the day from which it answers as retired."""
    faults: tuple[str, ...] = ()
    """Faults of every call, in the spelling of `app.emulator.faults.spelling`."""
    guardrails: Mapping[str, tuple[str, ...]] = field(default_factory=default_guardrails)
    """Guardrail identifier to the words that it blocks."""
    seed: int = 0
    """Varies the wording of answers whose temperature is above 0."""
    record_prompts: bool = False
    """Keep prompt texts in the record of requests; otherwise their digests only."""
    recorded_requests: int = 1000
    """How many of the latest requests are remembered."""
    workers: int = 2
    """Threads that decode pictures and read words in them."""
    read_words: bool = True
    """Look for words in pictures where the OCR engine is installed."""
