"""Starting the clinic's Django from a command, with nothing imported before it is needed."""

import os


def start_django(*, demo: bool = False) -> None:
    """Load the clinic's settings; with `demo`, those of the demonstration clinic."""
    if demo:
        os.environ["OPENKETAMINE_DEMO"] = "1"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openketamine.site.settings")
    import django

    django.setup()


def prepare_database() -> None:
    """Bring the database to this version's schema. Quick where it is there already."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
