"""Replicas keep a copy of what their engine was started with. Without the new words in it, all of them would differ from
their deployments after the upgrade and be replaced for nothing."""

from django.db import migrations

NEW = {"quantization": "", "engine_options": {}}


def fill(apps, schema_editor):
    for replica in apps.get_model("fleet", "Replica").objects.iterator():
        replica.spec = NEW | replica.spec
        replica.save(update_fields=["spec"])


def forget(apps, schema_editor):
    for replica in apps.get_model("fleet", "Replica").objects.iterator():
        replica.spec = {name: value for name, value in replica.spec.items() if name not in NEW}
        replica.save(update_fields=["spec"])


class Migration(migrations.Migration):
    dependencies = [("fleet", "0013_engine_options")]
    operations = [migrations.RunPython(fill, forget)]
