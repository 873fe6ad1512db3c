"""The gateway's rows in the schedule of the task processes; from here on they are the administrator's to edit."""

from django.db import migrations

SCHEDULE = [
    ("gateway: sum usage up by the hour", "gateway.sum_usage_up", 300),
    ("gateway: replay the journals of ended processes", "gateway.replay_journals", 60),
    ("gateway: prune old usage records", "gateway.prune_usage", 86400),
]


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, task, seconds in SCHEDULE:
        interval, _ = Interval.objects.get_or_create(every=seconds, period="seconds")
        # A run that waited longer than this is pointless: the next one has come.
        Task.objects.get_or_create(
            name=name, defaults={"task": task, "interval": interval, "expire_seconds": 2 * seconds}
        )


def unschedule(apps, schema_editor):
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    Task.objects.filter(name__in=[name for name, _, _ in SCHEDULE]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
