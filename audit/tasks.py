"""What the task processes do for the audit log. The schedule lies in django-celery-beat's tables."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils.timezone import now

from audit.models import AuditEntry


@shared_task(name="audit.prune")
def prune() -> int:
    """Delete what is older than settings.AUDIT_KEEP_DAYS, if that says anything. Gives how many went."""
    if not settings.AUDIT_KEEP_DAYS:
        return 0
    old = AuditEntry.objects.filter(at__lt=now() - timedelta(days=settings.AUDIT_KEEP_DAYS))
    return old.delete()[0]
