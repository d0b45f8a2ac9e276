"""The database itself refuses to change or delete an event."""

from django.db import migrations

SQLITE = {
    "forward": [
        f"""CREATE TRIGGER record_event_no_{act.lower()} BEFORE {act} ON record_event
            BEGIN SELECT RAISE(ABORT, 'The record is append-only: write a correction.'); END"""
        for act in ("UPDATE", "DELETE")
    ],
    "backward": [
        f"DROP TRIGGER IF EXISTS record_event_no_{act}" for act in ("update", "delete")
    ],
}
POSTGRESQL = {
    "forward": [
        """CREATE FUNCTION record_event_refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'The record is append-only: write a correction.'; END $$""",
        """CREATE TRIGGER record_event_append_only BEFORE UPDATE OR DELETE ON record_event
           FOR EACH ROW EXECUTE FUNCTION record_event_refuse()""",
    ],
    "backward": [
        "DROP TRIGGER IF EXISTS record_event_append_only ON record_event",
        "DROP FUNCTION IF EXISTS record_event_refuse()",
    ],
}


def _run(direction):
    def run(apps, schema_editor):
        vendor = SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL
        for statement in vendor[direction]:
            schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("record", "0001_initial")]
    operations = [migrations.RunPython(_run("forward"), _run("backward"))]
