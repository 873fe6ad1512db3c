"""One request under the policies that hold for it: its question, its answer, and what its record says of them.

question ── find ──▶ nothing │ marked: a header, the record │ refused: ContentRefused, before anything is reserved
answer, whole ── find ──▶ the same;  answer, streamed ── holding.HeldStream
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from gateway.errors import ContentRefused
from gateway.models import ContentAction, ContentDirection
from gateway.moderation.holding import HeldStream
from gateway.moderation.labelled_stream import LabelledStream
from gateway.moderation.labelling import Ask, labelled
from gateway.moderation.policies import Finding, Rule
from gateway.moderation.texts import Text, texts_of_answer, texts_of_request, token_ids_in
from gateway.usage import Meter

UNSCREENED = frozenset({"tokenize", "moderations"})
"""Endpoints at which nothing is said that is not said elsewhere; what is to be judged must be able to get there."""

_LARGE_BYTES = 256 * 1024
"""From here on a search takes milliseconds, which other requests should not wait for."""


def screening_for(
    rules: Sequence[Rule], *, models: Collection[str], team_id: int | None, meter: Meter, ask: Ask
) -> "Screening | None":
    """None where no policy holds for such a request."""
    held = [rule for rule in rules if rule.holds_for(models, team_id)]
    return Screening(held, meter, ask) if held else None


class Screening:
    """Of one request."""

    def __init__(self, rules: Sequence[Rule], meter: Meter, ask: Ask) -> None:
        self._rules = rules
        self._meter = meter
        self._ask = ask

    async def check_request(self, body: bytes) -> None:
        """Raises ContentRefused, ContentUnchecked."""
        rules = self._at_work(ContentDirection.INPUT)
        if not rules:
            return
        if len(body) < _LARGE_BYTES:
            self.note(_findings_in_request(body, rules))
        else:
            self.note(await asyncio.to_thread(_findings_in_request, body, rules))
        if any(rule.classifier for rule in rules):
            self.note(await labelled(texts_of_request(body), rules, ContentDirection.INPUT, self._ask))

    async def check_answer(self, body: bytes) -> None:
        """A whole one. Raises ContentRefused, ContentUnchecked."""
        if rules := self._at_work(ContentDirection.OUTPUT):
            self.note(findings_in(texts_of_answer(body), rules, ContentDirection.OUTPUT))
            await self._check_labels(list(texts_of_answer(body)))

    def held_stream(self) -> HeldStream | None:
        """What an answer goes through on its way to the client; None where it may go as it comes."""
        rules = self._at_work(ContentDirection.OUTPUT)
        return HeldStream(rules, self.note) if rules else None

    def labelled_stream(self) -> LabelledStream | None:
        """What it goes through after that; None where no classifier reads it."""
        rules = self._at_work(ContentDirection.OUTPUT)
        return LabelledStream(self._check_labels) if any(rule.classifier for rule in rules) else None

    async def _check_labels(self, texts: list[Text]) -> None:
        rules = self._at_work(ContentDirection.OUTPUT)
        self.note(await labelled(texts, rules, ContentDirection.OUTPUT, self._ask))

    def _at_work(self, direction: ContentDirection) -> list[Rule]:
        return [rule for rule in self._rules if rule.action(direction) != ContentAction.OFF]

    def note(self, findings: Iterable[Finding]) -> None:
        """Write them down. Raises ContentRefused for the first that is to be refused."""
        for finding in findings:
            self._meter.found(finding)
            if finding.is_refused:
                raise ContentRefused(finding.policy, param=finding.param, is_unreadable=finding.is_unreadable)


def findings_in(texts: Iterable[Text], rules: Sequence[Rule], direction: ContentDirection) -> list[Finding]:
    """One for each policy at most."""
    found: dict[str, Finding] = {}
    for (where, text), rule in ((text, rule) for text in texts for rule in rules):
        if rule.name not in found and (match := rule.matcher.find(text)):
            # An answer is nothing that the caller could mend.
            param = where if direction is ContentDirection.INPUT else ""
            found[rule.name] = rule.finding(direction, match, param=param)
    return sorted(found.values(), key=lambda finding: not finding.is_refused)


def _findings_in_request(body: bytes, rules: Sequence[Rule]) -> list[Finding]:
    refusing = next((rule for rule in rules if rule.on_input == ContentAction.REFUSE), None)
    if refusing and (param := token_ids_in(body)):
        # Nobody here knows what they say: let through, they would be a way around the policy.
        return [refusing.finding(ContentDirection.INPUT, None, param=param)]
    return findings_in(texts_of_request(body), rules, ContentDirection.INPUT)
