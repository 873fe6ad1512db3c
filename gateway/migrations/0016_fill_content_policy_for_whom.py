from django.db import migrations


def fill(apps, schema_editor):
    for policy in apps.get_model("gateway", "ContentPolicy").objects.all():
        policy.is_for_all_models = not policy.for_models.exists()
        policy.is_for_everybody = not policy.for_teams.exists()
        policy.save(update_fields=["is_for_all_models", "is_for_everybody"])


class Migration(migrations.Migration):

    dependencies = [
        ('gateway', '0015_content_policy_for_whom'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
