"""The page on effects is what its generator writes."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_effects", DOCS / "generate_effects.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_its_pictures_are_up_to_date(generator):
    for name, text in generator.texts().items():
        path = DOCS / "pharmacology" / name
        written = path.read_text(encoding="utf-8")
        assert generator.alike(written, text), f"{path} is out of date; run: make docs"


def test_a_page_with_another_figure_is_out_of_date(generator):
    assert generator.alike("16.1 of 20", "16.2 of 20")
    assert not generator.alike("16.1 of 20", "19.0 of 20")
    assert not generator.alike("16.1 of 20", "16.1 of 21")


def test_every_design_value_is_marked_on_the_page(generator):
    page = generator.texts()["effects.md"]
    assert page.count("| DESIGN |") > 20
    assert "recalled" in page
    assert "**misses**" not in page
