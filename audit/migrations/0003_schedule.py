"""The audit log's row in the schedule of the task processes; from here on it is the administrator's to edit."""

from django.db import migrations

NAME, TASK, SECONDS = "audit: prune old entries, if AUDIT_KEEP_DAYS says so", "audit.prune", 86400


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    interval, _ = Interval.objects.get_or_create(every=SECONDS, period="seconds")
    Task.objects.get_or_create(name=NAME, defaults={"task": TASK, "interval": interval, "expire_seconds": 2 * SECONDS})


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_append_only"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
