"""The probes' row in the schedule of the task processes; from here on it is the administrator's to edit."""

from django.db import migrations

NAME = "fleet: call every worker"


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    interval, _ = Interval.objects.get_or_create(every=5, period="seconds")
    # A run that waited longer than this is pointless: the next one has come.
    Task.objects.get_or_create(
        name=NAME, defaults={"task": "fleet.probe_workers", "interval": interval, "expire_seconds": 5}
    )


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0005_worker_probes"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
