"""What later steps of care may want to know of a session."""

from django.dispatch import Signal

# Sent inside the transaction in which a patient who was treated goes home; after a transfer to
# hospital, in that in which a prescriber lets the course go on. With `session` and `actor`.
discharged = Signal()
