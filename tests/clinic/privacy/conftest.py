import pytest

from openketamine.clinic.privacy import reads


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    """A place of the test's own where readings wait, with nothing remembered."""
    settings.HOME = tmp_path
    reads.spool.forget()
    yield reads.spool
    reads.spool.forget()
