"""Stop strings: found wherever the deltas are cut, nothing else lost or late."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.stop_strings import StopStrings

# Few letters, so that stop strings occur, overlap and nearly occur.
LETTERS = "ab<é🦜"
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3).map(tuple)
DELTAS = st.lists(st.text(LETTERS, max_size=4), max_size=12)


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


def before_first(stops: tuple[str, ...], text: str) -> str:
    """The text before the stop string that is complete first; of several, before the longest."""
    for end in range(len(text) + 1):
        if found := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, found))]
    return text


@settings(derandomize=True, deadline=None, max_examples=300)
@given(STOPS, DELTAS)
def test_what_is_shown_is_the_text_before_the_first_stop_string_however_it_is_cut(
    stops: tuple[str, ...], deltas: list[str]
) -> None:
    assert "".join(run(stops, deltas)) == before_first(stops, "".join(deltas))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(STOPS, DELTAS)
def test_all_that_is_withheld_is_the_beginning_of_a_stop_string(stops: tuple[str, ...], deltas: list[str]) -> None:
    follower, shown, come = StopStrings(stops), "", ""
    for delta in deltas:
        come, shown = come + delta, shown + follower.push(delta)
        if follower.is_matched:
            break
        withheld = come.removeprefix(shown)
        assert shown + withheld == come
        assert not withheld or any(stop.startswith(withheld) for stop in stops)
