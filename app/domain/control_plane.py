"""The errors of AWS's control plane. No caller sees them, as it is called between requests."""


class ControlPlaneError(Exception):
    """AWS gave no answer: it can't be reached, or refuses this identity."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnknownToAwsError(ControlPlaneError):
    """AWS does not know the resource."""
