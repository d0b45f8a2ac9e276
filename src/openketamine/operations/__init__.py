"""Keeping a clinic running: backup, restore, doctor, moving to another database."""
