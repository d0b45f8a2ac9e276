"""What the clinic's calls and clock tell the steps of care."""

from django.dispatch import Signal

# Sent on every round of the runner, with `now`. A receiver does its work in transactions of its own
# and can be run again at any time: what it has done already it must not do twice.
tick = Signal()

# Sent before a call is closed, with `call` and `actor`. A receiver whose own task must be done
# first raises `Refused`, and the call stays.
closing = Signal()
