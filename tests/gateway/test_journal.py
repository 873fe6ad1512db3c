"""Usage is on disk before a reply ends, and in the database once, whatever dies in between."""

import errno
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from django.db import OperationalError

from gateway import runtime
from gateway.errors import NotMetered
from gateway.journal import Journal, replay_orphans
from gateway.ledger import store_entries
from gateway.models import UsageRecord
from gateway.usage import UsageEntry
from tests.gateway.conftest import HELLO, post, the_record

ENTRY = UsageEntry(
    request_id="req_1",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    user_id=1,
    user_name="ada",
    key_id=1,
    key_name="laptop",
    model="fake-1",
    endpoint="chat/completions",
    is_stream=False,
    worker_name="box",
    replica_id="r",
    state="complete",
    count_source="engine",
    prompt_tokens=7,
    completion_tokens=4,
    status_code=200,
    error_code="",
    time_to_first_token_ms=None,
    duration_ms=12.5,
)

ENDLESS_WRITER = """
import sys, msgspec
import django; django.setup()
from pathlib import Path
from gateway.journal import Journal
from tests.gateway.test_journal import entry
journal = Journal(Path(sys.argv[1]), store=lambda entries: None)
for number in range(10**6):
    journal.append(entry(number))
    print(number, flush=True)
"""


def entry(number: int = 1, **changes) -> UsageEntry:
    return msgspec.structs.replace(ENTRY, request_id=f"req_{number}", **changes)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, store_entries)
    yield journal
    journal.close()


def fill_disk(monkeypatch) -> None:
    def write(*_) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gateway.segments.os.write", write)


@pytest.mark.django_db
def test_what_was_appended_is_in_the_database_after_a_write_up(journal):
    for number in range(1200):
        journal.append(entry(number))
    journal.write_up()
    assert UsageRecord.objects.count() == 1200


@pytest.mark.django_db
def test_every_field_survives_the_journal(journal):
    journal.append(entry())
    journal.write_up()
    record = UsageRecord.objects.get()
    kept = [name for name in UsageEntry.__struct_fields__ if name not in ("address", "uses_previous_secret")]
    assert {name: getattr(record, name) for name in kept} == {name: getattr(entry(), name) for name in kept}


@pytest.mark.django_db
def test_the_same_request_is_recorded_once(journal, caplog):
    for _ in range(2):
        journal.append(entry())
        journal.write_up()
    assert UsageRecord.objects.count() == 1
    assert not caplog.records


@pytest.mark.django_db
def test_a_row_that_does_not_fit_is_made_to_fit(journal):
    journal.append(entry(1, model="m" * 500, error_code="a\0b" * 50, completion_tokens=2**40, prompt_tokens=-1))
    journal.append(entry(2))
    journal.write_up()
    assert UsageRecord.objects.count() == 2


@pytest.mark.django_db
def test_a_row_that_the_database_rejects_does_not_hold_up_the_others(journal):
    journal.append(entry(1, user_id=2**70))
    journal.append(entry(2))
    journal.write_up()
    assert UsageRecord.objects.get().request_id == "req_2"


@pytest.mark.django_db
def test_nothing_is_lost_while_the_database_is_away(tmp_path):
    is_away = [True]

    def store(entries) -> None:
        if is_away.pop() if is_away else False:
            raise OperationalError("away")
        store_entries(entries)

    journal = Journal(tmp_path, store)
    journal.append(entry())
    with pytest.raises(OperationalError):
        journal.write_up()
    journal.write_up()
    journal.close()
    assert UsageRecord.objects.count() == 1


@pytest.mark.django_db
def test_a_long_journal_is_cut_into_files_that_are_removed(journal, tmp_path):
    for number in range(6000):
        journal.append(entry(number))
        if number % 2000 == 1999:
            journal.write_up()
    journal.append(entry(6000))
    journal.write_up()
    assert UsageRecord.objects.count() == 6001
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000


def test_an_ended_journal_leaves_no_file(tmp_path):
    journal = Journal(tmp_path, lambda entries: None)
    journal.append(entry())
    journal.write_up()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_comes_after_the_end_is_left_for_the_next_process(tmp_path):
    journal = Journal(tmp_path, lambda entries: None)
    journal.close()
    journal.append(entry())
    assert [path.stat().st_size > 0 for path in tmp_path.iterdir()] == [True]


def test_the_journal_of_a_living_process_is_left_alone(journal, tmp_path):
    journal.append(entry())
    assert replay_orphans(tmp_path, store_entries) == 0


@pytest.mark.django_db
def test_a_line_cut_short_is_skipped(tmp_path):
    line = msgspec.json.encode(entry(1)) + b"\n"
    (tmp_path / "1-dead.jsonl").write_bytes(line[:50] + b"\n" + line + line[:20])
    replay_orphans(tmp_path, store_entries)
    assert UsageRecord.objects.get().request_id == "req_1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_a_killed_process_loses_nothing_that_it_had_appended(tmp_path):
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert writer.stdout
    for _ in range(50):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    told = 50 + len([line for line in writer.stdout.read().splitlines() if line])
    writer.wait()
    writer.stdout.close()
    replay_orphans(tmp_path, store_entries)
    replay_orphans(tmp_path, store_entries)
    # It may have been killed between writing a line and telling so.
    assert told <= UsageRecord.objects.count() <= told + 2


def test_a_full_disk_stops_new_requests_and_keeps_what_has_run(journal, monkeypatch):
    with monkeypatch.context() as full:
        fill_disk(full)
        journal.append(entry())
        with pytest.raises(NotMetered):
            journal.check()
    journal.check()


def test_a_request_that_could_not_be_metered_is_refused(gateway, key, fake, monkeypatch):
    with monkeypatch.context() as full:
        fill_disk(full)
        body = {"model": "fake-1", "messages": HELLO}
        post(gateway, key, "/chat/completions", body)
        refused = post(gateway, key, "/chat/completions", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "usage_not_recordable")
    runtime.current().journal.check()
    assert the_record().completion_tokens == 4
