"""The clinic's fixtures serve here too."""

from tests.clinic.conftest import *  # noqa: F403
