"""The service's answer to each of the emulator's faults: status, code, retryable."""

Outcome = tuple[int, str, bool]

EXCEPTIONS: dict[str, Outcome] = {
    "throttle": (429, "model_throttled", True),
    "not-ready": (503, "model_loading", True),
    "loading": (503, "model_loading", True),
    "unavailable": (503, "upstream_unavailable", True),
    "internal": (503, "upstream_unavailable", True),
    "timeout": (504, "model_timeout", True),
    "model-error": (502, "model_failed", True),
    "stream-error": (502, "model_failed", True),
    "quota": (429, "upstream_quota_exceeded", False),
    "validation": (400, "upstream_validation", False),
    "denied": (502, "upstream_access_denied", False),
    "not-found": (502, "model_not_found", False),
    "retired": (502, "model_end_of_life", False),
    "legacy": (502, "model_legacy", False),
    "bad-key": (502, "upstream_credentials", False),
}
"""Faults that come as a reply or as a frame of a stream."""

GATEWAY_REPLIES: dict[str, Outcome] = {
    "overloaded": (503, "model_overloaded", True),
    "bad-gateway": (503, "upstream_unavailable", True),
    "gateway-timeout": (503, "upstream_unavailable", True),
}

BREAKS: dict[str, Outcome] = {
    "cut": (502, "stream_truncated", True),
    "drop": (502, "upstream_disconnected", True),
    "stall": (504, "upstream_timeout", False),
    "bad-crc": (502, "upstream_disconnected", True),
}

DEADLINE: Outcome = (504, "deadline_exceeded", True)
