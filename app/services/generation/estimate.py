"""Estimates of what a request would take, made without asking the model."""

from dataclasses import dataclass

from app.domain.cost import Cost, Pricing
from app.domain.generation import GenerationRequest
from app.domain.image import PreparedImage
from app.domain.model import ModelIdentity
from app.domain.ports import TokenCounter
from app.domain.token import CountMethod, TokenCount
from app.services.concurrency.deadline import Drain
from app.services.generation.multiple_images import calls
from app.services.generation.service import GenerationService
from app.services.generation.validation import checked
from app.services.images import canvas


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens, pictures and cost that a request would take."""

    prompts: tuple[TokenCount, ...]
    """The prompt tokens of each call."""
    max_gen_len: int
    """The longest answer of each call, in tokens."""
    images: tuple[PreparedImage, ...]
    """The pictures as they would be sent: a contact sheet in place of its pictures."""
    context_window: int
    """Tokens that prompt and answer of one call may have together."""
    price: Pricing | None

    @property
    def prompt_tokens(self) -> int:
        """Return the sum of all calls."""
        return sum(prompt.tokens for prompt in self.prompts)

    @property
    def method(self) -> CountMethod:
        """How they were counted."""
        return self.prompts[0].method

    @property
    def reserved(self) -> int:
        """Tokens of the longest answers, all together."""
        return self.max_gen_len * len(self.prompts)

    @property
    def fits(self) -> bool:
        """Whether each call's prompt and longest answer fit the window."""
        longest = max(prompt.tokens for prompt in self.prompts)
        return longest + self.max_gen_len <= self.context_window

    @property
    def tiles(self) -> tuple[int, ...]:
        """560-pixel tiles that the vision encoder would work through, by picture."""
        return tuple(canvas.choose(image.width, image.height).tiles for image in self.images)

    @property
    def cost(self) -> tuple[Cost, Cost] | None:
        """The cost with no answer and with the longest; None where the price is unknown.

        An upper bound on both ends where ``method`` is a bound.
        """
        if self.price is None:
            return None
        prompt = self.prompt_tokens
        least, most = self.price.most(prompt, 0), self.price.most(prompt, self.reserved)
        return (least, most) if least and most else None


@dataclass(frozen=True, slots=True)
class EstimateService:
    """Prepares and counts as for an answer, and stops there."""

    identity: ModelIdentity
    generations: GenerationService
    counter: TokenCounter
    price: Pricing | None
    drain: Drain

    async def estimate(self, request: GenerationRequest) -> Estimate:
        """Return the estimate of ``request``, or raise the error that would refuse it."""
        request = checked(request, self.generations.capabilities)
        async with self.drain.before(request.call_context.deadline):
            asked = [await self.generations.prepared(one) for one in calls(request)]
        return Estimate(
            prompts=tuple([await self.counter.count(call) for call in asked]),
            max_gen_len=request.sampling.max_gen_len,
            images=tuple(image for call in asked for turn in call.turns for image in turn.images),
            context_window=self.identity.base.context_window,
            price=self.price,
        )
