"""OpenKetamine: the open-source system that a ketamine-therapy programme runs on."""

__version__ = "0.1.0"
