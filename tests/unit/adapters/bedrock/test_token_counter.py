"""Token counts of complete prompts."""

import pytest

from app.adapters.bedrock.token_counter import ByteBound, LlamaTokenCounter, counter
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.token import CountMethod

PICTURE = PreparedImage(b"", ImageType.PNG, 8, 8, "")


def asked(text: str, *images: PreparedImage) -> ModelRequest:
    return ModelRequest(turns=(Turn(Role.USER, text, images),))


async def test_the_template_with_a_picture_has_metas_token_count():
    # begin, header of 3, two line breaks, picture, 6 words, end, header of 3, two line breaks.
    count = await counter().count(asked("Describe this image in two sentences", PICTURE))

    assert (count.tokens, count.method) == (17, CountMethod.EXACT)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("", 0),
        ("<|image|>", 1),
        ("<|begin_of_text|><|image|><|image|>Hi<|eot_id|>", 5),
        ("Hi<|eot_id|>Hi", 3),
        # Not of the template, so a text of five tokens: "<", "|", "call", "|", ">".
        ("<|call|>", 5),
    ],
)
async def test_each_marker_of_a_raw_prompt_is_one_token(prompt, tokens):
    request = ModelRequest(turns=(Turn(Role.USER, prompt),), raw_prompt=True)

    assert (await LlamaTokenCounter().count(request)).tokens == tokens


async def test_a_long_text_without_spaces_is_counted():
    count = await LlamaTokenCounter().count(asked("x" * 200_000))

    assert 1_000 < count.tokens < 200_000


@pytest.mark.parametrize(
    "text", ["Hello, world!", "日本語のテキスト", "\U0001f9d1‍\U0001f680" * 9, "<|eot_id|>"]
)
async def test_the_upper_bound_is_never_below_the_exact_count(text):
    bound = await ByteBound().count(asked(text, PICTURE))
    exact = await LlamaTokenCounter().count(asked(text, PICTURE))

    assert bound.method is CountMethod.BOUND
    assert exact.tokens <= bound.tokens
