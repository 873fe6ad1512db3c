"""The rule of how replicas are replaced, on plain values."""

from dataclasses import replace

from fleet.memory import GIB, DeviceMemory, Grounds, Need
from fleet.models import RollbackCause
from fleet.placement import Placed, Refusal, Site, Wanted, Why
from fleet.rollout import Plan, Reason, failure, plan
from protocol.control import ReplicaPhase

OLD, NEW = {"source": "old"}, {"source": "new"}
A, B = Site(worker_id="a", name="A"), Site(worker_id="b", name="B")


def wanted(num_replicas: int = 1, **fields) -> Wanted:
    """The new version, under proof for ten seconds."""
    given = {"deployment_id": 1, "num_replicas": num_replicas, "spec": NEW, "proving_s": 10.0}
    return Wanted(**(given | fields))


def old(slot: int = 0, worker_id: str = "a", **fields) -> Placed:
    """A replica that has been ready for a minute."""
    given = {"replica_id": f"old-{slot}", "deployment_id": 1, "slot": slot, "worker_id": worker_id, "spec": OLD}
    ready = {"phase": ReplicaPhase.READY, "is_loaded": True, "ready_for_s": 60.0}
    return Placed(**(given | ready | fields))


def new(slot: int = 0, worker_id: str = "a", **fields) -> Placed:
    return old(slot, worker_id, **({"replica_id": f"new-{slot}", "spec": NEW} | fields))


def retired(todo: Plan) -> list[str]:
    return [retirement.replica.replica_id for retirement in todo.retire]


def placed_in(todo: Plan) -> list[tuple[int, str]]:
    return [(placement.slot, placement.worker_id) for placement in todo.place]


def crowded(site: Site, free_gb: float = 1.0, total_gb: float = 16.0) -> Site:
    memory = DeviceMemory(kind="cpu", total_bytes=round(total_gb * GIB), free_bytes=round(free_gb * GIB))
    return replace(site, devices=(memory,))


def needing(num_gb: float) -> Need:
    return Need(round(num_gb * GIB), Grounds.GIVEN)


def test_a_new_version_starts_beside_the_old_one_which_stays():
    todo = plan([wanted()], [A], [old()])
    assert (retired(todo), placed_in(todo)) == ([], [(0, "a")])


def test_the_old_one_stays_while_the_new_one_loads():
    todo = plan([wanted()], [A], [old(), new(phase=ReplicaPhase.LOADING)])
    assert (retired(todo), placed_in(todo)) == ([], [])


def test_the_old_one_stays_until_the_new_one_has_answered_well_for_a_while():
    assert retired(plan([wanted()], [A], [old(), new(ready_for_s=5.0)])) == []
    assert retired(plan([wanted()], [A], [old(), new(ready_for_s=10.0)])) == ["old-0"]


def test_a_new_one_that_spoils_its_few_answers_does_not_take_over():
    todo = plan([wanted()], [A], [old(), new(num_answers=2, num_errors=2)])
    assert retired(todo) == []


def test_a_new_one_that_works_on_a_silent_worker_does_not_take_over():
    silent = replace(B, is_up=False, refusal=Refusal(Why.SILENT, ""))
    assert retired(plan([wanted()], [A, silent], [old(), new(worker_id="b")])) == []


def test_the_first_replica_of_a_new_version_goes_alone():
    todo = plan([wanted(8)], [A, B], [old(slot) for slot in range(8)])
    assert len(todo.place) == 1


def test_once_it_has_proven_itself_a_quarter_goes_at_a_time():
    others = [old(slot) for slot in range(1, 8)]
    todo = plan([wanted(8)], [A, B], [new(0), *others])
    assert [slot for slot, _ in placed_in(todo)] == [1, 2]


def test_the_next_waits_until_the_last_one_has_proven_itself():
    todo = plan([wanted(2)], [A, B], [old(0), old(1, "b"), new(0, ready_for_s=3.0)])
    assert (retired(todo), placed_in(todo)) == ([], [])


def test_a_rolling_replace_keeps_the_replicas_spread_over_the_workers():
    todo = plan([wanted(2)], [A, B], [new(0, "a"), old(1, "b")])
    assert placed_in(todo) == [(1, "b")]


def test_an_old_one_that_does_not_answer_goes_at_once():
    todo = plan([wanted()], [A], [old(phase=ReplicaPhase.FAILED)])
    assert (retired(todo), placed_in(todo)) == (["old-0"], [(0, "a")])


def test_an_old_one_whose_worker_has_just_fallen_silent_is_kept():
    silent = replace(A, is_up=False, refusal=Refusal(Why.SILENT, ""))
    todo = plan([wanted()], [silent, B], [old()])
    assert (retired(todo), placed_in(todo)) == ([], [(0, "b")])


def test_without_memory_for_both_the_old_one_makes_room():
    todo = plan([wanted(need=needing(8))], [crowded(A)], [old()])
    assert (retired(todo), placed_in(todo)) == (["old-0"], [])


def test_nobody_makes_room_for_what_can_never_fit():
    todo = plan([wanted(need=needing(32))], [crowded(A)], [old()])
    assert retired(todo) == []
    assert [name for name, _ in todo.unplaced[0].refusals] == ["A"]


def test_one_at_a_time_makes_room_while_the_others_answer():
    todo = plan([wanted(2, need=needing(8))], [crowded(A), crowded(B)], [old(0), old(1, "b")])
    assert retired(todo) == ["old-0"]


def test_nobody_makes_room_while_another_slot_is_empty():
    sites = [crowded(A), crowded(B)]
    assert retired(plan([wanted(2, need=needing(8))], sites, [old(1, "b")])) == []
    loading = new(0, phase=ReplicaPhase.LOADING, is_loaded=False, memory_bytes=8 * GIB)
    assert retired(plan([wanted(2, need=needing(8))], sites, [loading, old(1, "b")])) == []


def test_a_deployment_that_wants_it_so_is_replaced_in_place_even_where_there_is_room():
    todo = plan([wanted(is_swapping=True)], [A], [old()])
    assert (retired(todo), placed_in(todo)) == (["old-0"], [])


def test_in_place_means_only_when_the_old_one_is_unloaded():
    swapping = wanted(is_swapping=True)
    assert placed_in(plan([swapping], [A], [old(is_retired=True)])) == []
    assert placed_in(plan([swapping], [A], [])) == [(0, "a")]


def test_a_version_that_was_put_back_keeps_its_replicas_and_drops_the_new_ones():
    todo = plan([wanted(spec=OLD, proving_s=0.0)], [A], [old(), new()])
    assert (retired(todo), placed_in(todo)) == (["new-0"], [])


def test_a_deployment_is_through_when_nothing_but_proven_replicas_of_it_run():
    assert plan([wanted()], [A], [new()]).through == {1}
    assert plan([wanted()], [A], [new(), old()]).through == set()
    assert plan([wanted(2)], [A], [new()]).through == set()
    assert plan([wanted(0)], [A], []).through == set()


def test_a_worker_that_is_emptied_hands_over_before_it_lets_go():
    emptied = replace(A, must_empty=True, refusal=Refusal(Why.DRAINING, ""))
    same = wanted(spec=OLD, proving_s=0.0)
    todo = plan([same], [emptied, B], [old()])
    assert (retired(todo), placed_in(todo)) == ([], [(0, "b")])
    todo = plan([same], [emptied, B], [old(), old(worker_id="b", replica_id="other", ready_for_s=0.1)])
    assert retired(todo) == ["old-0"]


def test_a_restart_is_a_replacement_like_any_other():
    todo = plan([wanted(spec=OLD, proving_s=0.0)], [A], [old(must_restart=True)])
    assert (retired(todo), placed_in(todo)) == ([], [(0, "a")])


def test_a_deployment_that_is_pinned_elsewhere_answers_until_it_has_moved():
    moving = wanted(spec=OLD, proving_s=0.0, pinned_to=frozenset({"b"}))
    todo = plan([moving], [A, B], [old()])
    assert (retired(todo), placed_in(todo)) == ([], [(0, "b")])


def test_fewer_wanted_replicas_retire_the_last_slots():
    todo = plan([wanted(spec=OLD)], [A], [old(0), old(1)])
    assert [(one.replica.slot, one.reason) for one in todo.retire] == [(1, Reason.NOT_WANTED)]


def test_a_version_that_breaks_down_again_is_a_failure_in_the_engines_words():
    assert failure(NEW, [old(), new(num_failures=1)]) is None
    assert failure(NEW, [old(), new(num_failures=2, error="no such file")]) == (RollbackCause.BROKE, "no such file")


def test_a_version_that_spoils_its_answers_is_a_failure():
    assert failure(NEW, [new(num_answers=2, num_errors=2)]) is None
    assert failure(NEW, [new(num_answers=100, num_errors=3)]) is None
    assert failure(NEW, [new(0, num_answers=5, num_errors=2), new(1, num_answers=5, num_errors=1)]) == (
        RollbackCause.ERRORS,
        "3 / 10",
    )


def test_the_old_versions_failures_are_not_the_new_ones():
    assert failure(NEW, [old(num_failures=9, num_answers=9, num_errors=9), new()]) is None
