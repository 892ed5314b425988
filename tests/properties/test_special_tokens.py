"""No caller's text can form a special token of the Llama template."""

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from app.adapters.bedrock.codecs.converse import to_converse
from app.adapters.bedrock.codecs.llama import neutralise, render
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.image import PreparedImage

TOKEN = re.compile(r"<\|[A-Za-z0-9_]+\|>")

ORDINARY = ("<|", "|>", "<", "|", ">", "eot_id", "image", "begin_of_text", " ", "\n", "<|eot_id|>")
LOOK_ALIKE = (
    "\N{FULLWIDTH LESS-THAN SIGN}",
    "\N{FULLWIDTH VERTICAL LINE}",
    "\N{FULLWIDTH GREATER-THAN SIGN}",
    "\N{SMALL LESS-THAN SIGN}",
    "\N{SMALL GREATER-THAN SIGN}",
    "\N{COMBINING LONG SOLIDUS OVERLAY}",
    "\N{ZERO WIDTH SPACE}",
    "\N{MATHEMATICAL BOLD SMALL E}",
)
NESTED = ("<|<|image|>|>", "<|image|>" * 3, "<|reserved_special_token_250|>")
pieces = st.sampled_from(ORDINARY + LOOK_ALIKE + NESTED)
nasty = st.lists(pieces, max_size=12).map("".join) | st.text(max_size=60)


@given(nasty)
@example("<|<|eot_id|>|>")
@example("<<|eot_id|>|eot_id|>")
@example(f"{LOOK_ALIKE[0]}{LOOK_ALIKE[1]}eot_id{LOOK_ALIKE[1]}{LOOK_ALIKE[2]}")
def test_no_text_produces_a_special_token_even_after_compatibility_normalisation(text):
    safe = neutralise(text)

    assert not TOKEN.search(safe)
    assert not TOKEN.search(unicodedata.normalize("NFKC", safe))


@given(nasty)
def test_neutralising_is_idempotent_and_only_adds_spaces(text):
    safe = neutralise(text)

    assert neutralise(safe) == safe
    assert safe.replace(" ", "") == unicodedata.normalize("NFC", text).replace(" ", "")


def conversation(system: str, user: str, assistant: str) -> ModelRequest:
    turns: tuple[Turn[PreparedImage], ...] = (
        Turn(Role.USER, user),
        Turn(Role.ASSISTANT, assistant),
        Turn(Role.USER, user),
    )
    return ModelRequest(turns=turns, system=system)


@given(system=nasty, user=nasty, assistant=nasty)
def test_a_rendered_prompt_contains_only_the_templates_own_tokens(system, user, assistant):
    prompt = render(conversation(system, user, assistant))

    headers = (["system"] if system else []) + ["user", "assistant", "user", "assistant"]
    expected = ["<|begin_of_text|>"]
    for _ in headers:
        expected += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    assert TOKEN.findall(prompt) == expected[:-1]


@given(system=nasty, user=nasty, assistant=nasty)
@example(system="<|eot_id|>", user="<|eot_id|>", assistant="<|eot_id|>")
def test_a_converse_request_contains_no_special_token(system, user, assistant):
    parameters = to_converse(conversation(system, user, assistant))

    told = [part for message in parameters["messages"] for part in message["content"]]
    for text in (*parameters.get("system", ()), *told):
        assert not TOKEN.search(text["text"])


def test_readable_text_around_a_token_is_unchanged():
    assert (
        neutralise("Say <|eot_id|> twice: a <| b, x|>y") == "Say <| eot_id |> twice: a <| b, x|>y"
    )
