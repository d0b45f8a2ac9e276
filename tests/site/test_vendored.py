"""What comes from elsewhere is exactly what it says it is."""

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [
    ROOT / "src/openketamine/site/static/openketamine/vendor",
    ROOT / "tests/vendor",
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_every_vendored_file_is_listed_with_its_checksum(folder):
    listed = {}
    for line in (folder / "VENDORED.txt").read_text().splitlines()[1:]:
        _name, _version, _licence, file, checksum = line.split()
        listed[file] = checksum
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "VENDORED.txt"
    }
    assert found == listed
