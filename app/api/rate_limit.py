"""What is left of a caller's quotas, in the headers of the IETF's draft.

draft-ietf-httpapi-ratelimit-headers: ``RateLimit-Policy`` names quota and window, ``RateLimit``
what remains and when it is whole again.
"""

from math import ceil

from app.domain.limit import Standing


def headers(standings: tuple[Standing, ...]) -> dict[str, str]:
    """Return both headers, none where there are no quotas."""
    if not standings:
        return {}
    policies = [f'"{_name(s)}";q={s.quota.amount};w={s.quota.window}' for s in standings]
    left = [f'"{_name(s)}";r={s.remaining};t={ceil(s.reset)}' for s in standings]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}


def _name(standing: Standing) -> str:
    return f"{standing.quota.name}/{standing.quota.window}s"
