"""Log probabilities of an answer that a stop text ends."""

from app.domain.output import TokenLogprob
from app.services.model_stack.stop_sequences import HeldTokens


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text, -0.5) for text in texts)


def test_tokens_wait_for_their_text():
    held = HeldTokens()

    assert held.released("", tokens("a", "b")) == ()
    assert held.released("ab", tokens("c")) == tokens("a", "b")
    assert held.released("c", ()) == tokens("c")


def test_a_stop_texts_tokens_are_never_given_out():
    held = HeldTokens()

    assert held.released("yes", tokens("yes", " ST", "OP")) == tokens("yes")
    assert held.released("", ()) == ()


def test_a_token_that_holds_the_last_of_the_text_is_given_out_with_it():
    assert HeldTokens().released("yes", tokens("yes. ", "no")) == tokens("yes. ")


def test_half_characters_are_counted_by_their_bytes():
    first, second = (
        TokenLogprob("\ufffd", -1, data=b"\xc3"),
        TokenLogprob("\ufffd", -1, data=b"\xa4"),
    )
    held = HeldTokens()

    assert held.released("", (first,)) == ()
    assert held.released("ä", (second, *tokens("x"))) == (first, second)


def test_the_end_gives_out_what_is_left():
    held = HeldTokens()
    held.released("a", tokens("a", ""))

    assert held.released("", tokens("<end>"), last=True) == tokens("", "<end>")
