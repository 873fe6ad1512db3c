"""The content policies as the data plane knows them: read with the snapshot, compiled once for each change."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gateway.models import ContentAction, ContentDirection, ContentPolicy
from gateway.moderation.matching import BadLine, Match, Matcher, TooLarge, matcher

logger = logging.getLogger(__name__)

_CONTEXT_CHARS, _MAX_KEPT_CHARS = 150, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy."""

    name: str
    on_input: str
    on_output: str
    matcher: Matcher
    models: frozenset[str] | None
    """None: all."""
    team_ids: frozenset[int] | None
    """None: everybody, with or without a team."""
    hold_back: int
    keeps_text: bool
    classifier: str = ""
    """A model's name; empty: none."""
    threshold: float = 1.0

    def action(self, direction: ContentDirection) -> str:
        return self.on_input if direction is ContentDirection.INPUT else self.on_output

    def holds_for(self, models: Collection[str], team_id: int | None) -> bool:
        """`models`: all that might answer."""
        is_about = self.models is None or not self.models.isdisjoint(models)
        return is_about and self.is_about_team(team_id)

    def is_about_team(self, team_id: int | None) -> bool:
        return self.team_ids is None or team_id in self.team_ids

    def finding(self, direction: ContentDirection, match: Match | None, *, param: str = "") -> "Finding":
        """No match: what stands there cannot be read."""
        text = _excerpt(match) if match and self.keeps_text else ""
        return Finding(
            policy=self.name,
            action=self.action(direction),
            direction=direction.value,
            param=param,
            text=text,
            is_unreadable=match is None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a policy found, and what it asks for. `text` is empty unless the policy keeps it."""

    policy: str
    action: str
    direction: str
    param: str = ""
    text: str = ""
    is_unreadable: bool = False

    @property
    def is_refused(self) -> bool:
        return self.action == ContentAction.REFUSE

    @property
    def headers(self) -> Mapping[str, str]:
        """For whoever is answered all the same. Names may be in any script, and headers may not."""
        return {"X-Flotilla-Content-Policy": f"{quote(self.policy)}; action={self.action}; in={self.direction}"}


def read_rules() -> Sequence[Rule]:
    """The policies that do anything; those that refuse come first."""
    policies = ContentPolicy.objects.select_related("classifier").prefetch_related("for_models", "for_teams")
    rules = [_rule_or_none(policy) for policy in policies if {policy.on_input, policy.on_output} != {ContentAction.OFF}]
    return sorted(filter(None, rules), key=lambda rule: ContentAction.REFUSE not in (rule.on_input, rule.on_output))


def _rule_or_none(policy: ContentPolicy) -> Rule | None:
    try:
        return _rule(policy)
    except (BadLine, TooLarge):
        # Written past the form. It must not keep the gateway from hearing of new keys and replicas.
        logger.exception("The content policy %s cannot be compiled and does nothing: mend it in the admin", policy.name)
        return None


def _rule(policy: ContentPolicy) -> Rule:
    models = frozenset(model.name for model in policy.for_models.all())
    team_ids = frozenset(team.pk for team in policy.for_teams.all())
    return Rule(
        name=policy.name,
        on_input=policy.on_input,
        on_output=policy.on_output,
        matcher=matcher(policy.words, policy.patterns),
        models=None if policy.is_for_all_models and not models else models,
        team_ids=None if policy.is_for_everybody and not team_ids else team_ids,
        hold_back=policy.hold_back,
        keeps_text=policy.keeps_text,
        classifier=policy.classifier.name if policy.classifier else "",
        threshold=policy.threshold,
    )


def _excerpt(match: Match) -> str:
    start = max(0, match.start - _CONTEXT_CHARS)
    return match.text[start : match.end + _CONTEXT_CHARS][:_MAX_KEPT_CHARS]
