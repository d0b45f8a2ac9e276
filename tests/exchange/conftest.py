"""The clinic's fixtures serve here too."""

from tests.clinic.conftest import *  # noqa: F403
from tests.clinic.sessions.conftest import arrive, in_chair  # noqa: F401
