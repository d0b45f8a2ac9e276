"""What every test may ask for."""

import os
import tempfile
from pathlib import Path

import pytest

# Before Django reads its settings: tests keep their secrets and files away from any real clinic.
os.environ.setdefault("OPENKETAMINE_HOME", tempfile.mkdtemp(prefix="openketamine-tests-"))
os.environ.pop("OPENKETAMINE_DEMO", None)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bundles and device messages, which is kept outside the project."""
    folder = Path(os.environ.get("OPENKETAMINE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"No test data at {folder}; set OPENKETAMINE_TEST_DATA."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


def pytest_configure() -> None:
    from django.conf import settings

    # Slow hashing guards real passwords; tests have none.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
