"""The database itself refuses to change an entry: no page, act or shell of ours can."""

from django.db import migrations

_REFUSAL = "entries of the audit log are never changed"
_FORWARD = {
    "sqlite": [
        f"CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit_auditentry BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
        "CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit_auditentry "
        "FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()",
    ],
}
_BACKWARD = {
    "sqlite": ["DROP TRIGGER audit_append_only"],
    "postgresql": ["DROP TRIGGER audit_append_only ON audit_auditentry", "DROP FUNCTION audit_refuse_change"],
}


def _run(statements):
    def run(apps, schema_editor):
        for statement in statements.get(schema_editor.connection.vendor, ()):
            schema_editor.execute(statement, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(_run(_FORWARD), _run(_BACKWARD))]
