"""What later steps of care may want to know of a session."""

from django.dispatch import Signal

# Sent inside the transaction of the discharge, with `session` and `actor`.
discharged = Signal()
