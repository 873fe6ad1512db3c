"""What the task processes do for usage, and that they are told to."""

from datetime import timedelta

import pytest
from django.utils.timezone import now
from django_celery_beat.models import PeriodicTask

from config.celery import app
from gateway.journal import Journal
from gateway.ledger import store_entries
from gateway.models import UsageRecord
from gateway.tasks import prune_usage, replay_journals
from tests.gateway.test_journal import entry

pytestmark = pytest.mark.django_db


def test_every_scheduled_task_exists():
    app.autodiscover_tasks(force=True)
    scheduled = PeriodicTask.objects.filter(name__startswith="gateway:").values_list("task", flat=True)
    assert len(scheduled) == 5
    assert set(scheduled) <= set(app.tasks)


def test_old_records_are_pruned_and_new_ones_kept(settings):
    old = now() - timedelta(days=settings.USAGE_KEEP_DAYS + 1)
    store_entries([entry(1, created_at=old), entry(2, created_at=now())])
    assert prune_usage() == 1
    assert UsageRecord.objects.get().request_id == "req_2"


def test_a_journal_left_behind_is_brought_in(settings, tmp_path):
    settings.JOURNAL_DIR = tmp_path
    left = Journal(tmp_path, store_entries)
    left.append(entry())
    left.close()
    assert replay_journals() == 1
    assert UsageRecord.objects.count() == 1
