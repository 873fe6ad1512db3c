"""The rule of what runs where, on plain values."""

from fleet.placement import Placed, Plan, Reason, Refusal, Site, Wanted, plan

SPEC = {"engine": "echo", "source": ""}


def wanted(deployment_id: int = 1, num_replicas: int = 1, pinned_to: str | None = None, **spec: str) -> Wanted:
    return Wanted(deployment_id=deployment_id, num_replicas=num_replicas, spec=SPEC | spec, pinned_to=pinned_to)


def site(worker_id: str, refusal: Refusal | None = None, *, is_leaving: bool = False) -> Site:
    return Site(worker_id=worker_id, name=worker_id.upper(), refusal=refusal, is_leaving=is_leaving)


def placed(worker_id: str, *, slot: int = 0, deployment_id: int = 1) -> Placed:
    return Placed(
        replica_id=f"r{deployment_id}{slot}", deployment_id=deployment_id, slot=slot, worker_id=worker_id, spec=SPEC
    )


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
        site("a", Refusal.CORDONED),
        site("b", Refusal.DRAINING, is_leaving=True),
        site("c", Refusal.SILENT),
        site("d"),
    ]
    (unplaced,) = plan([wanted(pinned_to="a")], sites, []).unplaced
    assert unplaced.refusals == {
        "A": Refusal.CORDONED,
        "B": Refusal.PINNED_ELSEWHERE,
        "C": Refusal.PINNED_ELSEWHERE,
        "D": Refusal.PINNED_ELSEWHERE,
    }


def test_a_fleet_without_workers_places_nothing():
    (unplaced,) = plan([wanted()], [], []).unplaced
    assert unplaced.refusals == {}


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
    todo = plan([wanted(pinned_to="a")], [site("a", Refusal.REVOKED)], [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_REVOKED], [])


def test_a_leaving_worker_hands_over_when_another_can_take_it():
    sites = [site("a", Refusal.DRAINING, is_leaving=True), site("b")]
    todo = plan([wanted()], sites, [placed("a")])
    assert (why_retired(todo), where(todo)) == ([Reason.WORKER_LEAVING], ["b"])


def test_a_leaving_worker_keeps_what_nobody_else_can_take():
    sites = [site("a", Refusal.SILENT, is_leaving=True), site("b", Refusal.CORDONED)]
    assert plan([wanted()], sites, [placed("a")]).retire == []


def test_a_leaving_worker_keeps_what_is_pinned_to_it():
    sites = [site("a", Refusal.SILENT, is_leaving=True), site("b")]
    assert plan([wanted(pinned_to="a")], sites, [placed("a")]).retire == []


def test_a_silent_worker_keeps_its_replicas_for_a_while():
    assert plan([wanted()], [site("a", Refusal.SILENT), site("b")], [placed("a")]).retire == []


def test_a_cordoned_worker_keeps_what_it_has():
    assert plan([wanted()], [site("a", Refusal.CORDONED), site("b")], [placed("a")]).retire == []
