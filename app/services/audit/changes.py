"""Notes changes of access: keys added, changed, revoked or removed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.key import KeyRecord
from app.services.audit.log import AuditLog

Keys = Mapping[str, KeyRecord]


@dataclass(slots=True)
class KeyChanges:
    """Buffers changes of keys until the audit log is open."""

    log: AuditLog | None = None
    _early: list[tuple[Keys, Keys]] = field(default_factory=list)

    def attach(self, log: AuditLog) -> None:
        """Note the changes so far, and those from now on, in ``log``."""
        self.log = log
        early, self._early = self._early, []
        for before, after in early:
            self(before, after)

    def __call__(self, before: Keys, after: Keys) -> None:
        """Note how the keys differ, by their ids and scopes."""
        if self.log is None:
            # The first keys, and at most a few changes while the service starts.
            self._early.append((before, after))
            return
        self.log.note(
            "keys_changed",
            {
                "added": [_shown(after[name]) for name in after if name not in before],
                "removed": [name for name in before if name not in after],
                "changed": [
                    _shown(after[name])
                    for name in after
                    if name in before and before[name] != after[name]
                ],
            },
        )


def _shown(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "scopes": sorted(map(str, record.scopes)),
        "limits": dict(record.limits),
        "revoked": record.revoked or None,
    }
