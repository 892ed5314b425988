"""The figures of one run of one gateway on one workload."""

from dataclasses import dataclass

DIRECT = "direct"
"""The name of the upstream itself, asked without a gateway."""
OURS, NAIVE, LITELLM = "ours", "naive", "LiteLLM"
CHAT = "ours, chat"
"""This service, asked in OpenAI's dialect."""

Skipped = dict[str, dict[str, str]]
"""Unavailable gateways and the reasons, by `Identity`."""


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run. Times in ms, memory in MiB, of answered requests."""

    round: int
    workload: str
    gateway: str
    seconds: float
    answered: int
    failed: int
    outcomes: dict[str, int]
    per_second: float
    p50: float | None
    p90: float | None
    p99: float | None
    first_p50: float | None
    """Latency of the first piece of the text."""
    cpu_ms: float | None
    """CPU of the process that serves, for each answer."""
    workers_cpu_ms: float | None
    """CPU of the processes that it started, for each answer."""
    peak_mib: float
    workers_peak_mib: float
    lag_buckets: dict[str, int]
    """Observations of the event loop's lag by the upper bound of their bucket, seconds."""
    upstream_requests: int
    upstream_bytes: float | None
    """Bytes of the body sent upstream, for each answer."""
    load_share: float
    """Share of a core that the caller used."""
    upstream_share: float
    one_core: bool = False
    """Whether gateway, caller and upstream shared it."""
