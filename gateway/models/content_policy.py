"""What may not be said, to which models and by whose."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from fleet.models import LanguageModel
from gateway.moderation.matching import (
    MAX_LINE_CHARS,
    MAX_PATTERN_CHARS,
    MAX_PATTERNS,
    MAX_WORDS,
    BadLine,
    TooLarge,
    lines_of,
    matcher,
)


class ContentAction(models.TextChoices):
    """What is done where a policy finds something."""

    OFF = "off", _("off")
    MARK = "mark", _("mark")
    REFUSE = "refuse", _("refuse")


class ContentDirection(models.TextChoices):
    """Where it was found."""

    INPUT = "input", _("question")
    OUTPUT = "output", _("answer")


class ContentPolicy(models.Model):
    """Words and patterns, and what is done where they are found."""

    name = models.CharField(
        _("name"), max_length=60, unique=True, help_text=_("Callers are told it when a request is refused or marked.")
    )
    on_input = models.CharField(_("in questions"), max_length=8, choices=ContentAction, default=ContentAction.REFUSE)
    on_output = models.CharField(_("in answers"), max_length=8, choices=ContentAction, default=ContentAction.REFUSE)
    words = models.TextField(
        _("words"),
        blank=True,
        help_text=_(
            "One a line; a line may hold several words. Letter case makes no difference, and a word is not found "
            "within a longer one."
        ),
    )
    patterns = models.TextField(
        _("patterns"),
        blank=True,
        help_text=_(
            "Regular expressions, one a line, in RE2's syntax: without references to groups, without looking "
            "ahead or back. Letter case makes no difference unless a pattern begins with (?-i)."
        ),
    )
    for_models = models.ManyToManyField(
        LanguageModel, blank=True, related_name="+", verbose_name=_("models"), help_text=_("None chosen: all models.")
    )
    for_teams = models.ManyToManyField(
        Team, blank=True, related_name="+", verbose_name=_("teams"), help_text=_("None chosen: everybody.")
    )
    is_for_all_models = models.BooleanField(default=True, editable=False)
    is_for_everybody = models.BooleanField(default=True, editable=False)
    """What was chosen when it was last saved. Where all that was chosen is deleted later, it holds for nobody: a policy
    for one must not become one for all."""
    # A policy must not come to nothing because somebody deletes a model.
    classifier = models.ForeignKey(
        LanguageModel,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("classifier"),
        help_text=_("A model that labels texts, with the capability for moderation; it is asked as well."),
    )
    threshold = models.FloatField(
        _("threshold"),
        default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(1)],
        help_text=_("How likely a label of harm must be to count, from 0.01 to 1."),
    )
    hold_back = models.PositiveSmallIntegerField(
        _("held back (characters)"),
        default=200,
        validators=[MaxValueValidator(4000)],
        help_text=_(
            "So much of a streamed answer is kept until more has come, so that what is refused is not shown "
            "before it is whole; never less than the longest word. More is safer, less is sooner."
        ),
    )
    keeps_text = models.BooleanField(
        _("keep what was found"),
        default=False,
        help_text=_(
            "The usage record gets the place where it was found, 500 characters at most. Otherwise nothing of "
            "any text is kept."
        ),
    )

    class Meta:
        verbose_name = _("content policy")
        verbose_name_plural = _("content policies")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def holds_for_nobody(self) -> bool:
        """All models or all teams that it was for are gone."""
        lacks_models = not self.is_for_all_models and not self.for_models.all()
        return lacks_models or (not self.is_for_everybody and not self.for_teams.all())

    def keep_for_whom(self) -> None:
        """To be called whenever somebody has chosen models and teams."""
        for_all = {"is_for_all_models": not self.for_models.exists(), "is_for_everybody": not self.for_teams.exists()}
        ContentPolicy.objects.filter(pk=self.pk).update(**for_all)

    def clean(self) -> None:
        """Each error says which line, and what to change."""
        errors = {
            name: problems
            for name, problems in (
                ("words", _too_much(self.words, MAX_WORDS, MAX_LINE_CHARS)),
                ("patterns", _too_much(self.patterns, MAX_PATTERNS, MAX_PATTERN_CHARS)),
            )
            if problems
        }
        if not (self.words.strip() or self.patterns.strip() or self.classifier_id):
            errors["words"] = [gettext("Give at least one word, one pattern, or a classifier.")]
        if not errors:
            errors = self._uncompilable()
        if errors:
            raise ValidationError(errors)

    def _uncompilable(self) -> dict[str, list[str]]:
        try:
            matcher(self.words, self.patterns)
        except BadLine as bad:
            text = gettext("Line %(number)s, “%(line)s”: %(reason)s. Change it or take it out.")
            return {"patterns": [text % {"number": bad.number, "line": bad.line, "reason": bad.reason}]}
        except TooLarge:
            return {"patterns": [gettext("Words and patterns together are too large. Divide them among two policies.")]}
        return {}


def _too_much(text: str, max_lines: int, max_chars: int) -> list[str]:
    lines = lines_of(text)
    problems = [
        gettext("Line %(number)s is longer than %(max)s characters. Shorten it.") % {"number": number, "max": max_chars}
        for number, line in enumerate(lines, start=1)
        if len(line) > max_chars
    ]
    if len(lines) > max_lines:
        problems.append(gettext("More than %(max)s lines. Divide them among two policies.") % {"max": max_lines})
    return problems[:10]
