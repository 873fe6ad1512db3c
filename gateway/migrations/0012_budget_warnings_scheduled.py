"""The schedule's row; going back takes it out."""

from django.db import migrations

NAME, TASK, SECONDS = "gateway: warn of budgets", "gateway.warn_of_budgets", 60


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    interval, _ = Interval.objects.get_or_create(every=SECONDS, period="seconds")
    Task.objects.get_or_create(name=NAME, defaults={"task": TASK, "interval": interval, "expire_seconds": 2 * SECONDS})


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0011_budget_warnings"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(schedule, unschedule)]
