"""What the task processes do for the gateway. The schedule lies in django-celery-beat's tables."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db.models import QuerySet
from django.utils.timezone import now

from gateway.allowances import shared_store
from gateway.budget_warnings import bring_warnings_up_to_date, mail_warnings
from gateway.journal import replay_orphans
from gateway.ledger import store_entries
from gateway.models import Allowance, StoredResponse, UsageRecord
from gateway.reports import sum_usage_up

_PRUNED_AT_ONCE = 5000


@shared_task(name="gateway.sum_usage_up")
def sum_up() -> int:
    """Roll usage up by the hour. Gives the number of hours written."""
    return sum_usage_up()


@shared_task(name="gateway.replay_journals")
def replay_journals() -> int:
    """Bring in what web processes that ended badly on this host left behind. Gives the number of files."""
    return replay_orphans(settings.JOURNAL_DIR, store_entries)


@shared_task(name="gateway.prune_usage")
def prune_usage() -> int:
    """Delete records older than settings.USAGE_KEEP_DAYS; their sums by the hour stay. Gives how many went.

    With them goes what was used of limits in times that are over.
    """
    Allowance.objects.filter(expires_at__lt=now().timestamp()).delete()
    return _prune(UsageRecord.objects.filter(created_at__lt=now() - timedelta(days=settings.USAGE_KEEP_DAYS)))


@shared_task(name="gateway.prune_responses")
def prune_responses() -> int:
    """Delete the responses that were kept for long enough. Gives how many went."""
    return _prune(StoredResponse.objects.expired())


@shared_task(name="gateway.warn_of_budgets")
def warn_of_budgets() -> int:
    """Warn of budgets of which much is used. Gives the number of mails."""
    bring_warnings_up_to_date(shared_store())
    return mail_warnings()


def _prune(old: QuerySet[Any]) -> int:
    num_deleted = 0
    # In batches: one long transaction would keep SQLite's only writer from everybody else.
    while ids := list(old.order_by("created_at").values_list("pk", flat=True)[:_PRUNED_AT_ONCE]):
        num_deleted += old.model.objects.filter(pk__in=ids).delete()[0]
    return num_deleted
