"""Reports a caller's remaining quotas in the headers of an IETF draft.

draft-ietf-httpapi-ratelimit-headers: ``RateLimit-Policy`` has each quota and its window,
``RateLimit`` the remainder and the seconds until it is full again.
"""

from math import ceil

from app.domain.limit import QuotaStatus


def headers(quota_statuses: tuple[QuotaStatus, ...]) -> dict[str, str]:
    """Return both headers; none if there are no quotas."""
    if not quota_statuses:
        return {}
    policies, left = [], []
    for status in quota_statuses:
        quota = status.quota
        name = f"{quota.name}/{quota.window}s"
        policies.append(f'"{name}";q={quota.amount};w={quota.window}')
        left.append(f'"{name}";r={status.remaining};t={ceil(status.reset)}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
