"""When an engine that does not answer counts as stuck, and when as dead."""

from workers.liveness import Liveness, Verdict


def verdicts(answers: str) -> list[Verdict]:
    """Of `+` for an answer and `-` for a miss, each in its turn."""
    liveness = Liveness()
    return [liveness.judge(has_answered=answer == "+") for answer in answers]


def test_one_missed_probe_is_no_matter():
    assert verdicts("+-+-+") == [Verdict.LIVES] * 5


def test_two_in_a_row_are_and_an_answer_mends_it():
    assert verdicts("--+") == [Verdict.LIVES, Verdict.STUCK, Verdict.LIVES]


def test_eight_in_a_row_are_the_end():
    assert verdicts("-" * 8)[-2:] == [Verdict.STUCK, Verdict.DEAD]
