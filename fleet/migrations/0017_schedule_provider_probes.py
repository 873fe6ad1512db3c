"""The row of the schedule by which providers are asked for their models; it is the administrator's to edit."""

from django.db import migrations

NAME = "fleet: ask every provider"


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    interval, _ = Interval.objects.get_or_create(every=60, period="seconds")
    # A run that waited longer than this is pointless: the next one has come.
    Task.objects.get_or_create(
        name=NAME, defaults={"task": "fleet.probe_providers", "interval": interval, "expire_seconds": 60}
    )


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0016_providers"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
