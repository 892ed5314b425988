"""Log probabilities of an answer ended by a stop sequence."""

from app.domain.output import TokenLogprob
from app.services.model_stack.stop_sequences import HeldTokens


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text, -0.5) for text in texts)


def test_tokens_are_held_back_until_their_text_is_released():
    held = HeldTokens()

    assert held.released("", tokens("a", "b")) == ()
    assert held.released("ab", tokens("c")) == tokens("a", "b")
    assert held.released("c", ()) == tokens("c")


def test_the_tokens_of_a_stop_sequence_are_never_released():
    held = HeldTokens()

    assert held.released("yes", tokens("yes", " ST", "OP")) == tokens("yes")
    assert held.released("", ()) == ()


def test_a_token_containing_the_last_released_text_is_released_with_it():
    assert HeldTokens().released("yes", tokens("yes. ", "no")) == tokens("yes. ")


def test_tokens_of_half_characters_are_matched_by_their_bytes():
    first, second = (
        TokenLogprob("\ufffd", -1, data=b"\xc3"),
        TokenLogprob("\ufffd", -1, data=b"\xa4"),
    )
    held = HeldTokens()

    assert held.released("", (first,)) == ()
    assert held.released("ä", (second, *tokens("x"))) == (first, second)


def test_the_end_releases_the_remaining_tokens():
    held = HeldTokens()
    held.released("a", tokens("a", ""))

    assert held.released("", tokens("<end>"), last=True) == tokens("", "<end>")
