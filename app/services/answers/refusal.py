"""Refusals, in the eight languages that Llama 3.2 speaks, told apart from words of a picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from app.services.answers.notes import Refusal

LONGEST = 600
"""Characters of a refusal; a longer text says something else too."""
CLAUSES = 4
"""Clauses that are looked at: excuses may stand before the refusal."""


@dataclass(frozen=True, slots=True)
class Language:
    """How one language refuses. Expressions without nested repetition, over one short clause."""

    excuse: re.Pattern[str]
    """Begins a clause before the refusal."""
    unable: re.Pattern[str]
    """With ``deed`` in one clause it refuses."""
    deed: re.Pattern[str]
    unseen: re.Pattern[str]
    """Says that there is no picture."""


def _language(excuse: str, unable: str, deed: str, unseen: str) -> Language:
    return Language(*(re.compile(text, re.IGNORECASE) for text in (excuse, unable, deed, unseen)))


_PICTURE = r"(?:images?|pictures?|photos?|photographs?|attachments?)"
_ENGLISH = _language(
    r"(?:(?:i'm|i am|we're|we are)? ?(?:so |very |really )?sorry|(?:my )?apologies|i (?:must )?apologi[sz]e|"
    r"unfortunately|regrettably|no$|as an? |i understand|i appreciate|thank|it (?:seems|looks|appears)|"
    r"i see that|however|but\b|for (?:privacy|safety|legal|ethical))",
    r"^(?:i ?(?:'m|am|'ll|will)? ?(?:really |just |simply |also |afraid i )?(?:can't|cannot|can not|could ?n[o']t"
    r"|won't|will not|not able|not be able|unable|not comfortable|not allowed|not permitted|not going to"
    r"|not (?:programmed|designed|equipped)|not in a position|must decline|have to decline|decline to"
    r"|must refuse|do not|don't)|(?:that|this|it)\b.{0,40}(?:against|outside|beyond|violat))",
    r"\b(?:help(?:ing)?|assist(?:ing|ance)?|comply|fulfil+|provid(?:e|ing)|identif(?:y|ying)|do (?:that|this)"
    r"|answer(?:ing)? (?:that|this|your|the|questions|it)|engage|discuss|participate|continue|respond"
    r"|recogni[sz]e (?:people|faces|individuals|the person|this person|anyone)|complete (?:that|this|the|your)"
    r"|feel comfortable|comfortable (?:with|answering|describing|identifying|discussing|providing)"
    r"|process (?:that|this|your|the) request|generate|create|share|disclose|perform|make (?:any )?"
    r"(?:identifications?|assumptions|judge?ments?)|analy[sz]e (?:this|that|the|your)|extract|transcribe"
    r"|(?:describe|describing) (?:this|that|the) (?:image|picture|photo|person)|fill|give (?:you|medical|legal"
    r"|financial|that|this)|my (?:guidelines|policy|policies|programming|capabilities|ethical)"
    r"|(?:answer|decline|refuse)$|to answer\b)",
    rf"^(?:i ?(?:'m|am)? ?(?:currently |actually )?(?:cannot|can't|can not|do not|don't|unable to|not able to|could ?n[o']t)"
    r"(?: currently| actually| directly)? (?:see|view|access|open|display|find|process|look at|receive|interpret)"
    r"(?: or (?:see|view|access|process|interpret|analy[sz]e))? (?:any |an |a |the |your |this |that )?"
    rf"(?:actual |attached |uploaded |provided )?{_PICTURE}(?!'s)(?:$| (?:here|directly|you\b|that you|attached|uploaded"
    r"|provided|in (?:your|this|the) (?:message|conversation|chat)|because|since|so|or\b|and\b))"
    rf"|(?:there (?:is|was|are|were|isn't|wasn't) (?:no |not |n't )?(?:an |any )?|no |you (?:have not|haven't|did not|didn't) "
    r"(?:provided?|attach(?:ed)?|upload(?:ed)?|shared?|sen[dt]|included?) (?:an |any |the )?|i (?:have not|haven't|did not|didn't) "
    rf"(?:receive[d]?|see|get) (?:an |any |the )?){_PICTURE}"
    r"(?:$(?<!^no image)(?<!^no picture)(?<!^no photo)| (?:was |were |is |has been |have been )?(?:attached|provided|uploaded|included|given|shared"
    r"|here$|to (?:analy[sz]e|describe)|in (?:your|this|the) (?:message|conversation|request|prompt)))"
    r"|(?:i'm|i am|as) (?:only )?(?:an? )?(?:just )?text[- ](?:based|only)"
    rf"|(?:please|could you|can you|kindly)(?: please)? (?:provide|upload|attach|send)(?: me)? (?:the |an |your )?(?:actual )?{_PICTURE}(?:$| (?:again|so|you|and|that|for)))",
)
_LANGUAGES = (
    _ENGLISH,
    _language(
        r"(?:es )?(?:tut mir|leider$|entschuldig|verzeihung|bedaure|ich (?:verstehe|bedaure)|als (?:ki|eine?)\b|aber\b)",
        r"(?=.*\bich\b)(?=.*\b(?:kann|darf|werde|möchte|bin)\b)(?=.*\b(?:nicht|keine?n?|leider|außerstande)\b)"
        r"^(?:leider|ich|dabei|damit|das|hierbei|hier|kann|darf|bei|aber|auf|diese)\b",
        r"(?:helfen|unterstützen|beantworten|identifizieren|bereitstellen|nachkommen|erfüllen|bearbeiten|ausführen"
        r"|behilflich|antworten|geben|auskunft)",
        r"(?:^(?:leider )?(?:kann ich|ich kann|ich sehe|sehe ich|ich habe)(?: leider| hier)? (?:das|kein|ihr|dein|dieses|die|keine)"
        r" (?:bild(?:er)?|foto|anhang)(?: (?:leider|hier))?(?: nicht)?(?: (?:sehen|öffnen|anzeigen|erhalten|finden|erkennen))?$"
        r"|\bkein (?:bild|foto) (?:angehängt|beigefügt|hochgeladen|übermittelt|bereitgestellt|vorhanden))",
    ),
    _language(
        r"(?:je suis (?:vraiment )?désol|désol|malheureusement|pardon|je (?:regrette|comprends|m'excuse)|en tant qu|mais\b)",
        r"^je (?:ne |n')(?:peux|puis|suis|pourrai|vais|dois)",
        r"(?:aider|assister|répondre|fournir|identifier|satisfaire|donner|traiter|continuer|reconnaître|mesure de faire|faire (?:cela|ça))",
        r"(?:^je (?:ne |n')(?:peux|vois|arrive|parviens|suis).{0,30}?(?:d'|l'|votre |une |cette |aux |la |les |de )(?:images?|photos?)(?:$| (?:jointe|fournie))"
        r"|aucune (?:image|photo) n'|pas (?:fourni|joint|envoyé) d'image)",
    ),
    _language(
        r"(?:lo siento|lo lamento|lamento|perd[óo]n|disculp|desafortunadamente|lamentablemente|entiendo|como (?:ia|modelo|una)|pero\b)",
        r"^(?:yo )?no (?:puedo|podr[ée]|me es posible|estoy)",
        r"(?:ayudar|asistir|responder|proporcionar|identificar|cumplir|hacer (?:eso|esto)|procesar|atender|continuar|dar(?:te|le)?\b)",
        r"(?:^no (?:puedo|logro|consigo|veo) ?(?:ver|acceder a|abrir|visualizar)? (?:la|las|ninguna|una|tu|su|esta) (?:im[áa]gen(?:es)?|fotos?)(?:$| adjunt)"
        r"|no (?:se ha|has|ha) (?:proporcionado|adjuntado|subido|enviado) (?:ninguna|una|la) (?:imagen|foto))",
    ),
    _language(
        r"(?:mi (?:dispiace|spiace|scuso)|scus|purtroppo|spiacente|capisco|in quanto|come (?:ia|modello)|ma\b)",
        r"^(?:io )?non (?:posso|riesco|sono|mi è possibile)",
        r"(?:aiutar|assister|rispondere|fornir|identificar|soddisfare|far(?:lo|e questo)|elaborar|procedere|dar(?:ti|le)?\b)",
        r"(?:^non (?:posso|riesco a|vedo) ?(?:vedere|visualizzare|accedere al|aprire)? ?(?:l'|le |la |alcuna |nessuna )(?:immagin[ei]|foto)$"
        r"|nessuna (?:immagine|foto) (?:è stata|allegata|fornita))",
    ),
    _language(
        r"(?:desculp|sinto muito|lamento|infelizmente|perd[ãa]o|me desculp|entendo|como (?:ia|um)|mas\b)",
        r"^(?:eu )?não (?:posso|consigo|estou|sou|me é)",
        r"(?:ajudar|auxiliar|assistir|responder|fornecer|identificar|cumprir|atender|fazer isso|processar|dar\b)",
        r"(?:^(?:eu )?não (?:consigo|posso|vejo) ?(?:ver|visualizar|acessar|abrir)? (?:a|as|nenhuma|uma|sua) (?:image(?:m|ns)|fotos?)$"
        r"|nenhuma (?:imagem|foto) foi)",
    ),
    _language(
        r"(?:मुझे (?:खेद|क्षमा|माफ)|क्षमा|माफ|खेद|लेकिन|परंतु|मैं समझ)",
        r"(?=.*मैं)(?=.*(?:नहीं|असमर्थ))",
        r"(?:सहायता|मदद|पहचान|जवाब|उत्तर|प्रदान|पूरा)",
        r"(?:छवि|चित्र|तस्वीर|फोटो|इमेज)[^।]{0,20}(?:नहीं देख|नहीं दिख|दिखाई नहीं|नहीं मिली|प्रदान नहीं|संलग्न नहीं)",
    ),
    _language(
        r"(?:ขออภัย|ขอโทษ|เสียใจ|ต้องขออภัย)",
        r"^.{0,60}?ไม่สามารถ",
        r"ไม่สามารถ.{0,30}?(?:ช่วย|ให้ข้อมูล|ให้คำ|ตอบ|ระบุ|ดำเนินการ|ทำ|ปฏิบัติ)",
        r"(?:ไม่สามารถ(?:มองเห็น|เห็น|ดู|เข้าถึง)|มองไม่เห็น|ไม่เห็น)(?:รูป|ภาพ)|ไม่มี(?:รูป|ภาพ).{0,10}แนบ",
    ),
)
_WRAPPING = re.compile(
    r"<\|[a-z_]{1,30}\|>|</?(?:answer|response|output|think|thinking)>|```\w{0,12}|\*\*|^assistant\n",
    re.IGNORECASE,
)
_HEADER = re.compile(r"<\|start_header_id\|>\w{0,20}<\|end_header_id\|>")
_BREAK = re.compile(r"[,;:.!?।\n–—]+(?=\s|$)")
_JOINING = re.compile(
    r"^(?:it (?:seems|looks|appears)(?: like| that)?|but|however|and|so|aber|jedoch|daher|mais|pero|ma|mas|लेकिन|परंतु|कि|แต่)\s+",
    re.IGNORECASE,
)


def refusal(text: str) -> Refusal | None:
    """Return the refusal that ``text`` is, None where it says something else."""
    if len(text) > LONGEST + 200:
        return None
    bare = _WRAPPING.sub(" ", _HEADER.sub(" ", text))
    words = " ".join(bare.split()).strip(" \"'“”#>-").replace("’", "'")
    if not words or len(words) > LONGEST:
        return None
    for clause in islice(_clauses(words), CLAUSES):
        if any(language.unseen.search(clause) for language in _LANGUAGES):
            return Refusal(words, image_not_seen=True)
        if any(_refuses(language, clause) for language in _LANGUAGES):
            return Refusal(words)
        if not any(language.excuse.match(clause) for language in _LANGUAGES):
            return None
    return None


def _refuses(language: Language, clause: str) -> bool:
    return bool(language.unable.search(clause) and language.deed.search(clause))


def _clauses(words: str) -> Iterator[str]:
    for clause in _BREAK.split(words):
        stripped = clause.strip()
        while (rest := _JOINING.sub("", stripped)) != stripped:
            stripped = rest
        if stripped:
            yield stripped[:200]
