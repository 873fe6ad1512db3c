"""Responses that callers have kept, and the daily task that forgets the old ones. Backwards: they are gone."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

NAME = "gateway: prune old responses"


def schedule(apps, schema_editor):
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    Task = apps.get_model("django_celery_beat", "PeriodicTask")
    interval, _ = Interval.objects.get_or_create(every=86400, period="seconds")
    defaults = {"task": "gateway.prune_responses", "interval": interval, "expire_seconds": 2 * 86400}
    Task.objects.get_or_create(name=NAME, defaults=defaults)


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0008_key_governance"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="StoredResponse",
            fields=[
                ("id", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("body", models.BinaryField()),
                ("messages", models.BinaryField()),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["owner", "-created_at"], name="gateway_response_by_owner"),
                    models.Index(fields=["created_at"], name="gateway_response_by_age"),
                ],
            },
        ),
        migrations.RunPython(schedule, unschedule),
    ]
