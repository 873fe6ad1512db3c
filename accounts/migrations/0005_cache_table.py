"""The table of the cache, for an installation with a database server and without Redis."""

from typing import Any

from django.core.management import call_command
from django.db import migrations

TABLE = "flotilla_cache"


def create(apps: Any, schema_editor: Any) -> None:
    call_command("createcachetable", TABLE, database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_team_roles")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
