"""What a web process knows of keys and fleet never goes back to what it was."""

import threading

from gateway.snapshot import Snapshot, SnapshotPoller

OLD, NEW = Snapshot(), Snapshot()


def test_a_reading_that_took_long_undoes_none_that_began_after_it(monkeypatch):
    poller = SnapshotPoller()
    later = threading.Thread(target=poller.refresh)

    def read(_: Snapshot) -> Snapshot:
        if threading.current_thread() is later:
            return NEW
        later.start()
        later.join(0.2)
        return OLD

    monkeypatch.setattr("gateway.snapshot.read_snapshot", read)
    poller.refresh()
    later.join()
    assert poller.latest is NEW
