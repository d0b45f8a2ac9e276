"""What later steps of care may want to know of a session."""

from django.dispatch import Signal

# Sent inside the transaction in which a patient who was treated leaves, home or to hospital, with
# `session` and `actor`.
discharged = Signal()
