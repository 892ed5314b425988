"""Estimates a request's tokens, tiles and cost without calling the model."""

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
    """The estimated tokens, tiles and cost of a request."""

    prompts: tuple[TokenCount, ...]
    """The prompt tokens of each call."""
    max_gen_len: int
    """Maximum answer length of each call in tokens."""
    images: tuple[PreparedImage, ...]
    """The images as they would be sent; a contact sheet replaces its images."""
    context_window: int
    """Maximum tokens of one call's prompt and answer together."""
    price: Pricing | None

    @property
    def prompt_tokens(self) -> int:
        """Return the prompt tokens of all calls together."""
        return sum(prompt.tokens for prompt in self.prompts)

    @property
    def method(self) -> CountMethod:
        """Return how the prompt tokens were counted."""
        return self.prompts[0].method

    @property
    def reserved(self) -> int:
        """Return the maximum answer tokens of all calls together."""
        return self.max_gen_len * len(self.prompts)

    @property
    def fits(self) -> bool:
        """Return whether each call's prompt and longest answer fit the context window."""
        longest = max(prompt.tokens for prompt in self.prompts)
        return longest + self.max_gen_len <= self.context_window

    @property
    def tiles(self) -> tuple[int, ...]:
        """Return the number of 560-pixel tiles of each image for the vision encoder."""
        return tuple(canvas.choose(image.width, image.height).tiles for image in self.images)

    @property
    def cost(self) -> tuple[Cost, Cost] | None:
        """Return the costs with an empty and with the longest answer; None if the price is unknown.

        Both are upper bounds if ``method`` is an upper bound.
        """
        if self.price is None:
            return None
        prompt = self.prompt_tokens
        least, most = self.price.most(prompt, 0), self.price.most(prompt, self.reserved)
        return (least, most) if least and most else None


@dataclass(frozen=True, slots=True)
class EstimateService:
    """Prepares a request and counts its tokens, but stops before the model call."""

    identity: ModelIdentity
    generations: GenerationService
    counter: TokenCounter
    price: Pricing | None
    drain: Drain

    async def estimate(self, request: GenerationRequest) -> Estimate:
        """Return the estimate of ``request``, or raise the error that would refuse it."""
        request = checked(request, self.generations.capabilities)
        async with self.drain.before(request.call_context.deadline):
            requests = [await self.generations.prepared(one) for one in calls(request)]
        return Estimate(
            prompts=tuple([await self.counter.count(call) for call in requests]),
            max_gen_len=request.sampling.max_gen_len,
            images=tuple(
                image for call in requests for turn in call.turns for image in turn.images
            ),
            context_window=self.identity.base.context_window,
            price=self.price,
        )
