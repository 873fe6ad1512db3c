"""What classifiers of the fleet find in texts, for the policies that name one.

texts ── pieces, as long as small classifiers can read ──▶ moderations, a request of their own ──▶ labels too likely
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import msgspec

from gateway.errors import ContentUnchecked, GatewayError
from gateway.models import ContentAction, ContentDirection
from gateway.moderation.matching import Match
from gateway.moderation.policies import Finding, Rule
from gateway.moderation.texts import Text
from protocol.moderation import is_harm

logger = logging.getLogger(__name__)

PIECE_CHARS, OVERLAP_CHARS = 400, 50
"""In Chinese a character may be a token, and classifiers often read no more than 512."""
_MAX_PIECES = 256

Ask = Callable[[str, list[str]], Awaitable[bytes]]
"""Model, texts → its answer in OpenAI's shape. Raises GatewayError."""


class _Result(msgspec.Struct):
    category_scores: dict[str, float]


class _Moderation(msgspec.Struct):
    results: list[_Result]


async def labelled(
    texts: Iterable[Text], rules: Sequence[Rule], direction: ContentDirection, ask: Ask
) -> list[Finding]:
    """One finding for each policy at most. Raises ContentUnchecked where one that refuses could not be asked."""
    pieces = [piece for text in texts for piece in _pieces(text)]
    return [found for rule in rules if rule.classifier and (found := await _found(rule, pieces, direction, ask))]


async def _found(rule: Rule, pieces: Sequence[Text], direction: ContentDirection, ask: Ask) -> Finding | None:
    try:
        for start in range(0, len(pieces), _MAX_PIECES):
            batch = pieces[start : start + _MAX_PIECES]
            answer = await ask(rule.classifier, [text for _, text in batch])
            for (where, text), result in zip(batch, msgspec.json.decode(answer, type=_Moderation).results, strict=True):
                if any(score >= rule.threshold and is_harm(label) for label, score in result.category_scores.items()):
                    return rule.finding(direction, Match(text, 0, len(text)), param=where)
    except (GatewayError, msgspec.DecodeError, ValueError) as error:
        logger.error("The classifier of the content policy %s gave no answer: %r", rule.name, error)
        if rule.action(direction) == ContentAction.REFUSE:
            # What could not be read cannot be let through.
            raise ContentUnchecked(rule.name) from error
    return None


def _pieces(text: Text) -> Iterator[Text]:
    where, whole = text
    for start in range(0, len(whole), PIECE_CHARS):
        piece = whole[max(0, start - OVERLAP_CHARS) : start + PIECE_CHARS]
        if piece.strip():
            yield where, piece
