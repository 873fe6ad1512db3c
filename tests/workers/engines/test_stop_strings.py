"""Stop strings: found wherever the deltas are cut, nothing else lost or late."""

import pytest

from workers.engines.stop_strings import StopStrings


def run(stops: tuple[str, ...], deltas: list[str]) -> list[str]:
    """What is shown after each delta, then what the flush gives."""
    follower = StopStrings(stops)
    return [follower.push(delta) for delta in deltas] + [follower.flush()]


def test_text_is_withheld_only_while_it_may_become_a_stop_string() -> None:
    assert run(("</end>",), ["Hi <", "/e", "x <", "b"]) == ["Hi ", "", "</ex ", "<b", ""]


def test_a_stop_string_over_several_deltas_is_not_shown() -> None:
    assert run(("</end>",), ["Hi </", "en", "d> more"]) == ["Hi ", "", "", ""]


def test_what_was_withheld_is_shown_at_the_end() -> None:
    assert run(("END",), ["The EN"]) == ["The ", "EN"]


def test_the_earliest_of_several_stop_strings_counts() -> None:
    assert run(("three", "two"), ["one two three"]) == ["one ", ""]


@pytest.mark.parametrize("cut", range(1, 12))
def test_where_the_deltas_are_cut_makes_no_difference(cut: int) -> None:
    text = "ababac stop"
    assert "".join(run(("abac",), [text[:cut], text[cut:]])) == "ab"


def test_a_stop_string_may_overlap_with_itself() -> None:
    assert "".join(run(("aab",), ["a", "a", "a", "b", "c"])) == "a"
