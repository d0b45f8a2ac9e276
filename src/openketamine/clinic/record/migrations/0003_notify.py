"""On PostgreSQL every growth of the record is announced to all processes as it is committed."""

from django.db import migrations

FORWARD = [
    """CREATE FUNCTION record_announce() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_notify('openketamine_record', NEW.seq::text); RETURN NULL; END $$""",
    """CREATE TRIGGER record_announced AFTER UPDATE ON record_chainhead
       FOR EACH ROW EXECUTE FUNCTION record_announce()""",
]
BACKWARD = [
    "DROP TRIGGER IF EXISTS record_announced ON record_chainhead",
    "DROP FUNCTION IF EXISTS record_announce()",
]


def _run(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("record", "0002_append_only")]
    operations = [migrations.RunPython(_run(FORWARD), _run(BACKWARD))]
