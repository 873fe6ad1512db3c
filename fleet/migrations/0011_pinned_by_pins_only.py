from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("fleet", "0010_fill_pins")]

    operations = [migrations.RemoveField(model_name="deployment", name="worker")]
