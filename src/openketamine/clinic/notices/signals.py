"""The clinic's clock for what must happen although nobody does anything."""

from django.dispatch import Signal

# Sent on every round of the runner, with `now`. A receiver does its work in transactions of its own
# and can be run again at any time: what it has done already it must not do twice.
tick = Signal()
