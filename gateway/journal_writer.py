"""The thread that brings the journal into the database."""

import logging
import threading
import time

from django.db import close_old_connections, connections

from gateway.journal import Journal

logger = logging.getLogger(__name__)

_INTERVAL_S, _PAUSE_AFTER_FAILURE_S, _ORPHANS_EVERY_S = 0.2, 2.0, 30.0


class JournalWriter:
    """One thread: SQLite has one writer, and a batch costs a hundredth of what single inserts do."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._looked_for_orphans_at_s = float("-inf")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write up what is left, and end."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._ending.wait(_INTERVAL_S if self._write_up() else _PAUSE_AFTER_FAILURE_S)
            self._write_up()
        finally:
            connections.close_all()

    def _write_up(self) -> bool:
        try:
            close_old_connections()
            self._replay_orphans_now_and_then()
            self._journal.write_up()
            return True
        except Exception:
            # The thread must outlive any failure of the database; the journal keeps everything until it is back.
            logger.exception("Usage could not be written to the database; it is kept in the journal")
            return False

    def _replay_orphans_now_and_then(self) -> None:
        if time.monotonic() - self._looked_for_orphans_at_s < _ORPHANS_EVERY_S:
            return
        self._looked_for_orphans_at_s = time.monotonic()
        if num_files := self._journal.replay_orphans():
            logger.info("Replayed the usage journals of %d ended processes", num_files)
