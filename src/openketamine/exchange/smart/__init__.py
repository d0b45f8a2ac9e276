"""Letting other programs in: which, with whose consent, and to what (SMART App Launch 2.2)."""
