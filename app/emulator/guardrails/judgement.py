"""Checks a text or a picture by a guardrail, and decides which part of it may be shown."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.emulator.guardrails import personal
from app.emulator.guardrails.policy import Policy, parsed
from app.emulator.model.sight.pixels import Pixels
from app.emulator.model.sight.text_lines import TextLines
from app.emulator.wire.errors import NOT_FOUND, AwsError, invalid

BLOCKED = "Sorry, this text was blocked by the emulator's guardrail."
_VERSION = re.compile(r"[1-9][0-9]{0,7}|DRAFT")


class Source(StrEnum):
    """The kind of rule that matched."""

    WORD = "word"
    REGEX = "regex"
    PII = "pii"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Finding:
    """A match of one rule."""

    source: Source
    name: str
    """The word, the pattern, the kind of personal information, or the kind of content."""
    match: str
    blocks: bool
    """Whether it blocks; otherwise it is masked."""
    begin: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guardrail's judgement of a text or a picture."""

    text: str
    """The text as it may be shown: itself, masked, or the refusal."""
    findings: tuple[Finding, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether none of it may be shown."""
        return any(finding.blocks for finding in self.findings)

    @property
    def intervened(self) -> bool:
        """Whether anything was found."""
        return bool(self.findings)

    def by_source(self, source: Source) -> list[Finding]:
        """Return the findings of one kind of rules."""
        return [finding for finding in self.findings if finding.source is source]


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One guardrail, by its identifier."""

    identifier: str
    policy: Policy

    def judge(self, text: str) -> Verdict:
        """Return the verdict on ``text``."""
        findings = tuple(self._findings(text))
        if any(finding.blocks for finding in findings):
            return Verdict(BLOCKED, findings)
        return Verdict(_masked(text, findings), findings)

    def _findings(self, text: str) -> Iterator[Finding]:
        policy = self.policy
        for word in policy.words:
            if _holds(text, word):
                yield Finding(Source.WORD, word, word, blocks=True)
        for patterns, blocks in ((policy.regexes, True), (policy.masked_regexes, False)):
            for pattern in patterns:
                for match in re.finditer(pattern, text):
                    begin, end = match.span()
                    yield Finding(Source.REGEX, pattern, match[0], blocks, begin, end)
        for kind, begin, end in personal.places(text, policy.pii | policy.masked_pii):
            yield Finding(Source.PII, kind, text[begin:end], kind in policy.pii, begin, end)

    def judge_picture(self, pixels: Pixels, lines: TextLines | None) -> Verdict:
        """Return the verdict on a picture; ``lines`` are the words read in it."""
        largest = pixels.colours[0][0] if pixels.colours else ""
        findings = [
            Finding(Source.PICTURE, "VIOLENCE", colour, blocks=True)
            for colour in self.policy.colours
            if colour == largest
        ]
        findings += [
            Finding(Source.PICTURE, "MISCONDUCT", word, blocks=True)
            for word in self.policy.picture_words
            if lines is not None and _holds(lines.text, word)
        ]
        return Verdict(BLOCKED if findings else "", tuple(findings))

    @property
    def sees(self) -> bool:
        """Whether it checks pictures."""
        return bool(self.policy.colours or self.policy.picture_words)


def together(verdicts: list[Verdict]) -> Verdict:
    """Return one verdict for several."""
    findings = tuple(finding for verdict in verdicts for finding in verdict.findings)
    blocked = any(finding.blocks for finding in findings)
    return Verdict(BLOCKED if blocked else "\n".join(v.text for v in verdicts), findings)


def _masked(text: str, findings: tuple[Finding, ...]) -> str:
    end = len(text)
    for finding in sorted(findings, key=lambda f: f.begin, reverse=True):
        if finding.end <= end:
            name = finding.name if finding.source is Source.PII else "REGEX"
            text = f"{text[: finding.begin]}{{{name}}}{text[finding.end :]}"
            end = finding.begin
    return text


def _holds(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def named(guardrails: Mapping[str, tuple[str, ...]]) -> Callable[[str, str], Guardrail]:
    """Return a function that finds a guardrail by identifier or ARN, and version.

    It raises AWS's error for one that does not exist.
    """
    policies = {identifier: parsed(rules) for identifier, rules in guardrails.items()}

    def find(identifier: str, version: str) -> Guardrail:
        if not _VERSION.fullmatch(version):
            raise invalid("The guardrail version is invalid: a number or DRAFT is expected.")
        name = identifier.rpartition("/")[2]
        if name not in policies:
            raise AwsError(
                NOT_FOUND, "The guardrail identifier or version provided does not exist."
            )
        return Guardrail(name, policies[name])

    return find
