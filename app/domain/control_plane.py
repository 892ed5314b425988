"""The errors of AWS's control plane. No caller sees them: it is asked between requests."""


class ControlPlaneError(Exception):
    """AWS gave no answer: it is away, or refuses this identity."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnknownToAwsError(ControlPlaneError):
    """AWS knows no such thing."""
