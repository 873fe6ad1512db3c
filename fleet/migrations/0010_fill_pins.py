from django.db import migrations


def pin_as_before(apps, schema_editor):
    Pin = apps.get_model("fleet", "Pin")
    pinned = apps.get_model("fleet", "Deployment").objects.exclude(worker=None)
    Pin.objects.bulk_create(Pin(deployment=deployment, worker_id=deployment.worker_id) for deployment in pinned)


def unpin_all_but_one(apps, schema_editor):
    for pin in apps.get_model("fleet", "Pin").objects.order_by("-pk"):
        apps.get_model("fleet", "Deployment").objects.filter(pk=pin.deployment_id).update(worker=pin.worker_id)


class Migration(migrations.Migration):
    """A deployment that was pinned to one worker still is."""

    dependencies = [("fleet", "0009_placement")]

    operations = [migrations.RunPython(pin_as_before, unpin_all_but_one)]
