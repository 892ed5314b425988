"""A guardrail in the test's own process that blocks words and masks addresses."""

import re
from dataclasses import dataclass, field

from app.domain.errors import GuardrailUnavailableError
from app.domain.guardrail import Assessment, Content, GuardrailPolicy, Hit


@dataclass
class FakeGuardrail:
    """Blocks texts with a forbidden word, masks addresses, and records what it was shown."""

    forbidden: str = "blockme"
    failing: bool = False
    shown: list[Content] = field(default_factory=list)

    async def assess(self, content: Content, policy: GuardrailPolicy) -> Assessment:
        self.shown.append(content)
        if self.failing:
            raise GuardrailUnavailableError("not there")
        units = {"word": len(content.texts), "content_image": len(content.images)}
        if any(re.search(rf"\b{re.escape(self.forbidden)}\b", text) for text in content.texts):
            return Assessment((Hit("word", "custom"),), True, None, units, "Sorry.")
        masked = tuple(re.sub(r"[\w.+-]+@[\w.-]+\w", "{EMAIL}", text) for text in content.texts)
        if masked != content.texts:
            return Assessment((Hit("pii", "EMAIL", masks=True),), False, masked, units)
        return Assessment(units=units)
