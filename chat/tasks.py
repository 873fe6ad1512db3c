"""What the task processes do for the chat; the schedule lies in django-celery-beat's tables (0002_schedule)."""

from celery import shared_task

from chat.models import Message


@shared_task(name="chat.fail_abandoned_answers")
def fail_abandoned_answers() -> None:
    Message.objects.all().fail_abandoned()
