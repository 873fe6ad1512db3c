from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0006_queue_ms"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="num_attempts",
            field=models.PositiveIntegerField(default=1, verbose_name="replicas asked"),
        ),
    ]
