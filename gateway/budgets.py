"""How far budgets are used up, by the usage records and by what all processes share."""

from collections.abc import Sequence

from django.utils.timezone import now

from gateway.allowances import shared_store
from gateway.limits import Balance, Limit, Measure, Subject, balance, current_period
from gateway.reports import used_since


def read_balances(limits: Sequence[Limit]) -> list[Balance]:
    """Of each, as all processes share it. Raises what the store or the database raises."""
    found = shared_store().read([limit.bucket for limit in limits])
    clock_s = now().timestamp()
    return [balance(limit, found.get(limit.bucket, {}), clock_s, used_by_the_records) for limit in limits]


def used_by_the_records(limit: Limit) -> float:
    """Of a budget, since its period began. Asks the database."""
    start, _ = current_period(limit.span)
    column = "key_id" if limit.subject is Subject.KEY else "team_id"
    sums = used_since(start, {column: limit.subject_id})
    return float(sums.cost if limit.measure is Measure.COST else sums.total_tokens)
