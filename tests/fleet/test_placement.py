"""The rule of what runs where, on plain values."""

from typing import Any

from fleet.memory import GIB, DeviceMemory, Grounds, Need
from fleet.placement import Placed, Refusal, Site, Wanted, Why
from fleet.rollout import Plan, Reason, plan

SPEC = {"engine": "echo", "source": ""}


def wanted(deployment_id: int = 1, num_replicas: int = 1, pinned_to: str = "", **fields: Any) -> Wanted:
    """`pinned_to="ab"`: to the workers a and b; what is no field of a deployment belongs to its specification."""
    own = {name: fields.pop(name) for name in ("selector", "need") if name in fields}
    return Wanted(
        deployment_id=deployment_id,
        num_replicas=num_replicas,
        spec=SPEC | fields,
        pinned_to=frozenset(pinned_to),
        **own,
    )


def site(worker_id: str, why: Why | None = None, **fields: Any) -> Site:
    refusal = Refusal(why, str(why.label)) if why else None
    return Site(worker_id=worker_id, name=worker_id.upper(), refusal=refusal, **fields)


def placed(worker_id: str, *, slot: int = 0, deployment_id: int = 1, **fields: Any) -> Placed:
    replica_id = f"r{deployment_id}{slot}"
    return Placed(
        replica_id=replica_id, deployment_id=deployment_id, slot=slot, worker_id=worker_id, spec=SPEC, **fields
    )


def need(gigabytes: float, grounds: Grounds = Grounds.GIVEN) -> Need:
    return Need(round(gigabytes * GIB), grounds)


def device(free: float, *, total: float = 80, kind: str = "cuda") -> DeviceMemory:
    return DeviceMemory(kind=kind, total_bytes=round(total * GIB), free_bytes=round(free * GIB))


def told(todo: Plan) -> list[str]:
    """Why the first replica without a place has none, worker by worker."""
    return [f"{name}: {refusal.text}" for name, refusal in todo.unplaced[0].refusals]


def where(todo: Plan) -> list[str]:
    return [placement.worker_id for placement in todo.place]


def why_retired(todo: Plan) -> list[Reason]:
    return [retirement.reason for retirement in todo.retire]


def test_replicas_spread_over_the_workers():
    assert sorted(where(plan([wanted(num_replicas=4)], [site("a"), site("b")], []))) == ["a", "a", "b", "b"]


def test_the_worker_with_least_of_everything_comes_first():
    todo = plan([wanted(1), wanted(2)], [site("a"), site("b")], [placed("a", deployment_id=1)])
    assert where(todo) == ["b"]


def test_what_is_in_place_stays_there():
    todo = plan([wanted()], [site("a"), site("b")], [placed("a")])
    assert (todo.retire, todo.place) == ([], [])


def test_a_pinned_deployment_runs_on_its_worker_only():
    assert where(plan([wanted(num_replicas=2, pinned_to="b")], [site("a"), site("b")], [])) == ["b", "b"]


def test_each_worker_that_cannot_take_a_replica_has_its_reason():
    sites = [
        site("a", Why.CORDONED),
        site("b", Why.DRAINING, is_leaving=True),
        site("c", Why.SILENT),
        site("d"),
    ]
    elsewhere = "the deployment is pinned to other workers"
    todo = plan([wanted(pinned_to="ab")], sites, [])
    assert told(todo) == ["A: cordoned", "B: draining", f"C: {elsewhere}", f"D: {elsewhere}"]


def test_a_fleet_without_workers_places_nothing():
    (unplaced,) = plan([wanted()], [], []).unplaced
    assert unplaced.refusals == []


def test_fewer_wanted_replicas_retire_the_last_slots():
    todo = plan([wanted(num_replicas=1)], [site("a")], [placed("a", slot=0), placed("a", slot=1)])
    assert [retirement.replica.slot for retirement in todo.retire] == [1]


def test_a_changed_deployment_is_replaced():
    todo = plan([wanted(source="elsewhere")], [site("a")], [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.CHANGED], ["a"])


def test_a_deployment_pinned_elsewhere_moves():
    todo = plan([wanted(pinned_to="b")], [site("a"), site("b")], [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.PINNED_ELSEWHERE], ["b"])


def test_a_revoked_worker_loses_its_replicas_even_pinned_ones():
    todo = plan([wanted(pinned_to="a")], [site("a", Why.REVOKED)], [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_REVOKED], [])


def test_a_leaving_worker_hands_over_when_another_can_take_it():
    sites = [site("a", Why.DRAINING, is_leaving=True), site("b")]
    todo = plan([wanted()], sites, [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_LEAVING], ["b"])


def test_a_leaving_worker_keeps_what_nobody_else_can_take():
    sites = [site("a", Why.SILENT, is_leaving=True), site("b", Why.CORDONED)]
    assert plan([wanted()], sites, [placed("a")]).retire == []


def test_a_leaving_worker_keeps_what_is_pinned_to_it():
    sites = [site("a", Why.SILENT, is_leaving=True), site("b")]
    assert plan([wanted(pinned_to="a")], sites, [placed("a")]).retire == []


def test_a_silent_worker_keeps_its_replicas_for_a_while():
    assert plan([wanted()], [site("a", Why.SILENT), site("b")], [placed("a")]).retire == []


def test_a_cordoned_worker_keeps_what_it_has():
    assert plan([wanted()], [site("a", Why.CORDONED), site("b")], [placed("a")]).retire == []


def test_a_worker_that_must_be_emptied_hands_over_what_others_can_take():
    sites = [site("a", Why.DRAINING, must_empty=True), site("b")]
    todo = plan([wanted()], sites, [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_LEAVING], ["b"])


def test_a_worker_that_must_be_emptied_keeps_not_even_what_nobody_else_can_take():
    todo = plan([wanted(pinned_to="a")], [site("a", Why.DRAINING, must_empty=True), site("b")], [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_DRAINED], [])


def test_a_replica_that_is_to_be_restarted_gets_a_successor():
    todo = plan([wanted()], [site("a")], [placed("a", must_restart=True)])
    assert (why_retired(todo), where(todo)) == ([Reason.RESTART], ["a"])


def test_a_replica_goes_only_where_all_its_labels_are():
    sites = [site("a", labels={"gpu": "h100"}), site("b", labels={"gpu": "h100", "zone": "x"}), site("c")]
    assert where(plan([wanted(selector={"gpu": "h100", "zone": "x"})], sites, [])) == ["b"]


def test_a_replica_goes_only_where_its_engine_is_installed():
    sites = [site("a", engines={"echo"}), site("b", engines={"echo", "vllm"})]
    assert where(plan([wanted(engine="vllm", num_replicas=2)], sites, [])) == ["b", "b"]


def test_a_worker_that_does_not_tell_its_engines_may_have_any():
    assert where(plan([wanted(engine="vllm")], [site("a")], [])) == ["a"]


def test_an_engine_that_a_worker_lacks_is_named_with_the_remedy():
    assert told(plan([wanted(engine="vllm")], [site("a", engines={"echo"})], [])) == [
        "A: has no vllm: install it there"
    ]


def test_a_worker_that_runs_no_commands_says_who_can_change_that():
    todo = plan([wanted(engine="command")], [site("a", engines={"echo"})], [])
    assert "--allow-code yes" in told(todo)[0]


def test_labels_that_a_worker_lacks_are_named():
    sites = [site("a", labels={"zone": "y"}), site("b", labels={"zone": "x"})]
    todo = plan([wanted(selector={"gpu": "h100", "zone": "x"})], sites, [])
    assert told(todo) == ["A: lacks the labels gpu=h100, zone=x", "B: lacks the label gpu=h100"]


def test_a_pin_to_several_workers_lets_it_run_on_each_of_them():
    sites = [site("a"), site("b"), site("c")]
    assert sorted(where(plan([wanted(num_replicas=2, pinned_to="bc")], sites, []))) == ["b", "c"]


def test_a_replica_that_fits_nowhere_says_what_it_needs_and_what_is_free():
    sites = [site("a", devices=[device(9), device(4)]), site("b", devices=[device(13.5)])]
    todo = plan([wanted(need=need(14))], sites, [])
    assert told(todo) == ["A: needs 14.0 GB, 9.0 GB free", "B: needs 14.0 GB, 13.5 GB free"]


def test_a_guess_is_told_as_one():
    todo = plan([wanted(need=need(14, Grounds.ESTIMATED))], [site("a", devices=[device(9)])], [])
    assert told(todo) == ["A: needs 14.0 GB (estimated from the model’s name), 9.0 GB free"]


def test_memory_that_nobody_knows_is_not_taken_for_enough():
    assert told(plan([wanted(need=need(1))], [site("a")], [])) == ["A: needs 1.0 GB, its memory is not known"]


def test_a_need_that_nobody_knows_keeps_a_replica_from_no_worker():
    assert where(plan([wanted()], [site("a", devices=[device(0)])], [])) == ["a"]


def test_what_is_placed_but_not_loaded_yet_counts_as_taken():
    running = wanted(1, need=need(10))
    todo = plan([running, wanted(2, need=need(10))], [site("a", devices=[device(15)])], [placed("a")])
    assert told(todo) == ["A: needs 10.0 GB, 5.0 GB free"]


def test_what_it_holds_already_while_it_loads_is_not_counted_twice():
    running = wanted(1, need=need(10))
    todo = plan(
        [running, wanted(2, need=need(10))], [site("a", devices=[device(15)])], [placed("a", memory_bytes=6 * GIB)]
    )
    assert where(todo) == ["a"]


def test_what_is_loaded_is_not_counted_twice():
    running = wanted(1, need=need(10))
    todo = plan([running, wanted(2, need=need(10))], [site("a", devices=[device(15)])], [placed("a", is_loaded=True)])
    assert where(todo) == ["a"]


def test_replicas_placed_in_the_same_turn_share_the_memory():
    todo = plan([wanted(num_replicas=3, need=need(10))], [site("a", devices=[device(25)])], [])
    assert (len(todo.place), told(todo)) == (2, ["A: needs 10.0 GB, 5.0 GB free"])


def test_a_worker_without_the_device_says_so():
    sites = [site("a", devices=[device(9, kind="cpu")]), site("b", devices=[device(9)])]
    todo = plan([wanted(device="cuda:1")], sites, [])
    assert told(todo) == ["A: has no device cuda:1", "B: has no device cuda:1"]


def test_a_replica_for_the_cpu_counts_the_machines_memory():
    sites = [site("a", devices=[device(80), device(9, kind="cpu")])]
    assert told(plan([wanted(device="cpu", need=need(14))], sites, [])) == ["A: needs 14.0 GB, 9.0 GB free"]


def test_transformers_may_lay_one_model_over_several_gpus():
    sites = [site("a", devices=[device(9), device(9)])]
    assert where(plan([wanted(engine="transformers", need=need(14))], sites, [])) == ["a"]


def test_the_worker_with_more_memory_left_comes_first():
    sites = [site("a", devices=[device(20)]), site("b", devices=[device(60)])]
    assert where(plan([wanted()], sites, [])) == ["b"]


def test_the_less_busy_worker_comes_first():
    assert where(plan([wanted()], [site("a", load=0.9), site("b", load=0.1)], [])) == ["b"]


def test_spreading_counts_more_than_memory():
    sites = [site("a", devices=[device(79)]), site("b", devices=[device(1)])]
    assert where(plan([wanted(num_replicas=2)], sites, [placed("a", is_loaded=True)])) == ["b"]


def test_revoked_workers_are_history_and_not_reasons():
    todo = plan([wanted()], [site("a", Why.REVOKED), site("b", Why.CORDONED)], [])
    assert told(todo) == ["B: cordoned"]
