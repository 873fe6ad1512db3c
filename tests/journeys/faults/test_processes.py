"""Processes that die or freeze: the right state soon, and recovery without a hand."""

import signal

import pytest

from fleet.models import Replica
from tests.journeys.faults.conftest import is_serving, phase, state

pytestmark = pytest.mark.django_db(transaction=True)


def test_kill_9_of_the_daemon(worker, web, clocked):
    worker.kill()
    clocked.start()
    clocked("right state", lambda: state() == "silent", worker.log)
    worker.start(web.url, "")
    clocked.start()
    clocked("recovery", is_serving, worker.log)


@pytest.mark.once
def test_kill_9_of_the_engine(worker, clocked):
    (engine,) = worker.children()
    engine.kill()
    clocked.start()
    # A test that is slow to look may find it back at work.
    clocked("right state", lambda: phase() != "ready" or Replica.objects.get().num_restarts, worker.log)
    clocked("recovery", is_serving, worker.log)
    assert Replica.objects.get().num_restarts == 1


def test_a_frozen_daemon(worker, clocked):
    (engine,) = worker.children()
    worker.process.send_signal(signal.SIGSTOP)
    clocked.start()
    clocked("right state", lambda: state() == "silent", worker.log)
    worker.process.send_signal(signal.SIGCONT)
    clocked.start()
    clocked("recovery", is_serving, worker.log)
    assert worker.children() == [engine]


@pytest.mark.once
def test_a_frozen_engine(worker, clocked):
    (engine,) = worker.children()
    engine.suspend()
    clocked.start()
    clocked("right state", lambda: phase() == "failed", worker.log)
    clocked("recovery", is_serving, worker.log)
    assert not engine.is_running()
