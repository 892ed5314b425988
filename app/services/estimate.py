"""What a request would take, without asking the model."""

from dataclasses import dataclass

from app.domain.cost import Cost, Price
from app.domain.generation import GenerationRequest, ModelRequest, Turn
from app.domain.image import ImageReport
from app.domain.model import ModelIdentity
from app.domain.ports import ImagePreparer, TokenCounter
from app.domain.token import CountMethod
from app.services.checking import check
from app.services.deadline import Drain
from app.services.prompting import in_language, with_prompt
from app.services.sources import ImageSources


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request would take."""

    prompt_tokens: int
    method: CountMethod
    max_gen_len: int
    images: tuple[ImageReport, ...]
    context_window: int
    """Tokens that prompt and answer may have together."""
    cost: tuple[Cost, Cost] | None
    """With no answer and with the longest; None where the price is unknown. An upper bound on
    both ends where ``method`` is a bound."""

    @property
    def fits(self) -> bool:
        """Whether prompt and longest answer fit the window."""
        return self.prompt_tokens + self.max_gen_len <= self.context_window

    @property
    def tiles(self) -> int:
        """560-pixel tiles that the vision encoder would work through."""
        return sum(image.canvas.tiles for image in self.images)


@dataclass(frozen=True, slots=True)
class EstimateService:
    """Prepares and counts as for an answer, and stops there."""

    identity: ModelIdentity
    sources: ImageSources
    preparer: ImagePreparer
    counter: TokenCounter
    price: Price | None
    drain: Drain

    async def estimate(self, request: GenerationRequest) -> Estimate:
        """Return what ``request`` would take, or raise what would refuse it."""
        check(request, self.identity)
        async with self.drain.before(request.terms.deadline):
            reports = [
                await self.preparer.prepare(await self.sources.fetch(image))
                for turn in request.turns
                for image in turn.images
            ]
        count = await self.counter.count(_model_request(request, tuple(reports)))
        longest = request.sampling.max_gen_len
        return Estimate(
            prompt_tokens=count.tokens,
            method=count.method,
            max_gen_len=longest,
            images=tuple(reports),
            context_window=self.identity.base.context_window,
            cost=None
            if self.price is None
            else (self.price.of(count.tokens, 0), self.price.of(count.tokens, longest)),
        )


def _model_request(request: GenerationRequest, reports: tuple[ImageReport, ...]) -> ModelRequest:
    left = iter(reports)
    turns = tuple(
        Turn(turn.role, turn.text, tuple(next(left).prepared for _ in turn.images))
        for turn in request.turns
    )
    return ModelRequest(
        turns=in_language(with_prompt(turns), request.language),
        system=request.system,
        sampling=request.sampling,
        raw_prompt=request.raw_prompt,
    )
