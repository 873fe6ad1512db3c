"""Which tokens are fed in a step: rules on plain values."""

from collections.abc import Sequence


def fair_shares(wanted: Sequence[int], budget: int) -> list[int]:
    """Tokens for each of some prompts, together at most `budget`: short ones whole, the others alike.

    A short prompt never waits for the whole of a long one, and a long one gets what short ones leave.
    """
    shares = [0] * len(wanted)
    by_length = sorted(range(len(wanted)), key=wanted.__getitem__)
    for place, at in enumerate(by_length):
        shares[at] = min(wanted[at], budget // (len(wanted) - place))
        budget -= shares[at]
    return shares
