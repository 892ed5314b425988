# ruff: noqa: RUF001 - models write curly apostrophes
"""Refusals in eight languages, distinguished from words of a picture."""

import pytest

from app.services.answers.text.refusal import refusal

REFUSED = """\
I'm sorry, I can't help with that
I’m sorry, but I can’t assist with that request.
I cannot provide information about the people in the image.
I'm not able to identify people in images.
As an AI language model, I cannot identify individuals.
I won't be able to help with that.
I'm not comfortable answering that question.
I don't feel comfortable describing this image.
That goes against my guidelines.
I apologize, but I cannot fulfill this request.
**I cannot assist with this request.**
<|start_header_id|>assistant<|end_header_id|> I'm sorry, I can't help with that.<|eot_id|>
Es tut mir leid, aber ich kann dabei nicht helfen.
Ich kann Ihnen dabei leider nicht helfen.
Leider kann ich diese Anfrage nicht erfüllen.
Je suis désolé, mais je ne peux pas vous aider avec cela.
Je regrette, mais je ne suis pas en mesure de vous aider.
Lo siento, pero no puedo ayudar con eso.
Mi dispiace, ma non posso aiutarti con questo.
Desculpe, mas não posso ajudar com isso.
मुझे खेद है, लेकिन मैं इसमें मदद नहीं कर सकता।
ขออภัย ฉันไม่สามารถช่วยเหลือในเรื่องนี้ได้"""

UNSEEN = """\
I can't see an image.
I don't see any image attached.
I'm sorry, but I can't see the image. Please upload it again.
No image was provided.
It seems that no image was uploaded.
I'm a text-based AI model and can't view images.
Please provide the image.
Ich sehe kein Bild.
Es tut mir leid, aber ich kann das Bild nicht sehen.
Je ne peux pas voir l'image.
No puedo ver la imagen.
Non riesco a vedere l'immagine.
Não consigo ver a imagem.
मैं छवि नहीं देख सकता।
ฉันไม่สามารถมองเห็นรูปภาพ"""

SAID = """\
A cat
No
Not visible
I can't see any signature.
I cannot read the total.
I can't see who is providing help.
There is no image of a cat.
I don't see a cat in the picture.
Sorry, we are closed
We cannot provide refunds without a receipt.
Sorry we missed you! We could not deliver your parcel.
The sign says I'm sorry, I can't help
No photos allowed
Please share your photos with #beach
Leider ist der Betrag nicht lesbar.
Ich sehe keine Unterschrift
Je ne vois pas de signature"""


@pytest.mark.parametrize("text", REFUSED.splitlines())
def test_a_refusal_is_recognised(text):
    said = refusal(text)

    assert said is not None
    assert said.code == "refused"


@pytest.mark.parametrize("text", UNSEEN.splitlines())
def test_a_missing_picture_is_recognised(text):
    said = refusal(text)

    assert said is not None
    assert said.code == "image_not_seen"


@pytest.mark.parametrize("text", SAID.splitlines())
def test_words_about_a_picture_are_not_mistaken_for_a_refusal(text):
    assert refusal(text) is None


def test_a_long_text_that_begins_like_a_refusal_is_not_one():
    assert refusal("I'm sorry, I can't help with that. " * 40) is None
