"""What a person is told when an answer failed or was cut: what happened, and what to do."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from chat.models import Message, MessagePhase


@dataclass(frozen=True, slots=True)
class Failure:
    """`detail` is the engine's or the gateway's own sentence, shown where it adds something."""

    title: str | Promise
    advice: str | Promise
    can_retry: bool = True
    detail: str = ""


_KNOWN = {
    "no_replica_ready": Failure(
        _("The model is not ready."),
        _("No replica of it can answer just now: it may still be loading, or its worker is away. Try again shortly."),
    ),
    "queue_full": Failure(_("The model is busy."), _("More requests wait for it than may. Try again in a moment.")),
    "queue_timeout": Failure(
        _("The wait was too long."), _("The model was busy for as long as a request may wait. Try again in a moment.")
    ),
    "rate_limit_exceeded": Failure(
        _("Your team's limit is reached."), _("It is used by others of your team as well. Try again in a moment.")
    ),
    "insufficient_quota": Failure(
        _("Your team's budget is used up."), _("Ask an administrator to raise it, or wait until it begins anew.")
    ),
    "model_not_found": Failure(
        _("This model is no longer deployed."), _("Choose another model below, then ask again."), can_retry=False
    ),
    "context_length_exceeded": Failure(
        _("The conversation is too long for this model."),
        _("Start a new conversation, shorten the question, or choose a model with a longer context."),
        can_retry=False,
    ),
    "content_policy_violation": Failure(
        _("A content policy does not allow this."),
        _("Change the question above, or start a new conversation. Administrators can say what the policy forbids."),
        can_retry=False,
    ),
    "upstream_failed": Failure(
        _("The worker was lost in the middle of the answer."),
        _("What had arrived is kept. Try again: another replica answers if there is one."),
    ),
    "upstream_timeout": Failure(
        _("The model took too long."), _("Try again. If it happens often, tell an administrator.")
    ),
    "abandoned": Failure(
        _("The server was restarted before the answer was whole."), _("What had arrived is kept. Try again.")
    ),
    "server_stopped": Failure(
        _("The server was restarted before the answer was whole."), _("What had arrived is kept. Try again.")
    ),
    "max_length": Failure(
        _("The answer reached the model's length limit."), _("Ask it to continue, or ask for less at a time.")
    ),
    "internal_error": Failure(
        _("Something broke on our side."), _("The server's log has the details. Try again, or tell an administrator.")
    ),
}


def failure_of(message: Message) -> Failure | None:
    """None where nothing went wrong."""
    if known := _KNOWN.get(message.error_code):
        return known
    if message.phase != MessagePhase.FAILED:
        return None
    return Failure(_("The answer failed."), _("Try again, or choose another model."), detail=message.error)
