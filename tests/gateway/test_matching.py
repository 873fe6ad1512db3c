"""What a word or a pattern is found in, and in what not."""

import pytest

from gateway.moderation.matching import BadLine, Matcher, TooLarge, matcher


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ass", "an ass"),
        ("ass", "ASS!"),
        ("ass", "ａｓｓ"),
        ("ass", "a\u200bss"),
        ("ass", "我ass你"),
        ("bad thing", "a bad\n  thing"),
        ("cliché", "CLICHÉ"),
        ("刀具", "我要刀具吗"),
        ("c++", "in C++, say"),
        ("ass", '{"said": "\\nass"}'),
        ("刀具", '{"said": "\\u5200\\u5177"}'),
    ],
)
def test_a_word_is_found(word, text):
    assert Matcher([word], []).find(text)


@pytest.mark.parametrize(("word", "text"), [("ass", "assistant"), ("ass", "grass"), ("ass", "classé"), ("été", "étés")])
def test_a_word_is_not_found_within_another(word, text):
    assert Matcher([word], []).find(text) is None


def test_a_pattern_may_ask_for_letter_case():
    assert Matcher([], [r"(?-i)\bID-\d+"]).find("id-1") is None
    assert Matcher([], [r"\bID-\d+"]).find("id-1")


def test_a_word_at_the_end_of_what_has_come_is_not_decided_yet():
    asked = Matcher(["ass"], [])
    assert asked.find("an ass", is_ended=False) is None
    assert asked.find("an ass ", is_ended=False) is None
    assert asked.find("an ass is", is_ended=False)


def test_a_text_that_was_cut_begins_no_word():
    assert Matcher(["ass"], ["^x"]).find("ass x", is_cut=True) is None


def test_no_pattern_takes_more_than_linear_time():
    # Python's own `re` would need 2**100000 steps.
    assert Matcher([], ["(a+)+$"]).find("a" * 100_000 + "b") is None


def test_thousands_of_words_are_one_automaton():
    words = [f"word{number}x" for number in range(2000)]
    assert Matcher(words, []).find("say word1999x now")
    assert Matcher(words, []).find("say word2000x now") is None


@pytest.mark.parametrize(("patterns", "number"), [("ok\n\na(", 3), ("(?=a)", 1), ("ok\nx*", 2)])
def test_a_bad_pattern_is_named_by_its_line(patterns, number):
    with pytest.raises(BadLine) as refused:
        matcher("", patterns)
    assert refused.value.number == number


def test_what_is_too_large_together_is_refused():
    with pytest.raises(TooLarge):
        Matcher([], [rf"{number}\pL{{100}}" for number in range(60)])
