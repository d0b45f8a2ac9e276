"""Hearing that the record has grown, whichever process or machine wrote to it.

PostgreSQL announces it (`LISTEN`, migration 0003); elsewhere one looks ten times a second.
"""

import logging
import threading

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

CHANNEL = "openketamine_record"
POLL_S = 0.1
# An announcement can be lost with its connection: so often one looks all the same.
LOOK_ANYWAY_S = 5.0


class Bell:
    """Belongs to one thread, which waits for it; `close` it in the end."""

    def __init__(self) -> None:
        self._line: BaseDatabaseWrapper | None = None

    def wait(self, wake: threading.Event) -> None:
        """Return when the record may have grown, or soon after `wake` was set."""
        if connection.vendor != "postgresql":
            wake.wait(POLL_S)
        else:
            self._listen(wake)
        wake.clear()

    def _listen(self, wake: threading.Event) -> None:
        import psycopg

        try:
            raw = self._connected().connection
            for _ in range(round(LOOK_ANYWAY_S / POLL_S)):
                if wake.is_set() or list(raw.notifies(timeout=POLL_S, stop_after=1)):
                    return
        except (DatabaseError, psycopg.Error):
            logger.warning("the line for announcements was lost; looking now and then meanwhile")
            self.close()
            wake.wait(POLL_S)

    def _connected(self) -> BaseDatabaseWrapper:
        if self._line is None:
            # A line of its own: announcements are heard only outside transactions.
            self._line = connections.create_connection(DEFAULT_DB_ALIAS)
            self._line.set_autocommit(True)
            with self._line.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        return self._line

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
