"""No text of a caller's can form a special token of the Llama template."""

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from app.adapters.bedrock.llama import neutralise, render
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
def test_no_text_leaves_a_special_token_not_even_after_compatibility_normalisation(text):
    safe = neutralise(text)

    assert not TOKEN.search(safe)
    assert not TOKEN.search(unicodedata.normalize("NFKC", safe))


@given(nasty)
def test_neutralising_is_a_fixed_point_and_only_adds_spaces(text):
    safe = neutralise(text)

    assert neutralise(safe) == safe
    assert safe.replace(" ", "") == unicodedata.normalize("NFC", text).replace(" ", "")


@given(system=nasty, user=nasty, assistant=nasty)
def test_a_rendered_prompt_holds_the_templates_own_tokens_and_no_others(system, user, assistant):
    turns: tuple[Turn[PreparedImage], ...] = (
        Turn(Role.USER, user),
        Turn(Role.ASSISTANT, assistant),
        Turn(Role.USER, user),
    )

    prompt = render(ModelRequest(turns=turns, system=system))

    headers = (["system"] if system else []) + ["user", "assistant", "user", "assistant"]
    expected = ["<|begin_of_text|>"]
    for _ in headers:
        expected += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    assert TOKEN.findall(prompt) == expected[:-1]


def test_readable_text_around_a_token_stays_as_it_was():
    assert (
        neutralise("Say <|eot_id|> twice: a <| b, x|>y") == "Say <| eot_id |> twice: a <| b, x|>y"
    )
