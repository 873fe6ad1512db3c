"""What a model thinks is told apart from what it says, while both stream."""

import pytest

from workers.engines.transformers.thoughts import Thought, ThoughtMarks, ThoughtParser

MARKS = ThoughtMarks("<think>", "</think>")


def split(text: str, *, size: int, prompt_end: str = "assistant\n") -> tuple[str, str]:
    """What was thought and what was said, of a text that comes in deltas of `size` characters."""
    parser = ThoughtParser(MARKS, prompt_end)
    pieces = [piece for at in range(0, len(text), size) for piece in parser.push(text[at : at + size])]
    pieces += parser.flush()
    assert all(pieces)
    thought = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
    return thought, "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>\nHm, a < b.\n\nSo.\n</think>\n\nYes.", "Hm, a < b.\n\nSo.", "Yes."),
        ("\n<think></think>Yes. ", "", "Yes. "),
        ("<think>cut short </thi", "cut short </thi", ""),
        ("  Just text, <think>this too</think>", "", "  Just text, <think>this too</think>"),
        ("<thin ice", "", "<thin ice"),
        ("<think>a</think> b <think>c</think>", "a", "b <think>c</think>"),
    ],
)
def test_a_thought_at_the_beginning_is_no_text(text: str, thought: str, said: str, size: int) -> None:
    assert split(text, size=size) == (thought, said)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_template_may_have_opened_the_thought(size: int) -> None:
    assert split("Hm.\n</think>\n\nYes.", size=size, prompt_end="assistant\n<think>\n") == ("Hm.", "Yes.")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_template_may_have_closed_the_thought_at_once(size: int) -> None:
    end = "assistant\n<think>\n\n</think>\n\n"
    assert split("<think>? Yes.", size=size, prompt_end=end) == ("", "<think>? Yes.")


def test_nothing_is_withheld_that_is_certain() -> None:
    parser = ThoughtParser(MARKS, "<think>")
    assert parser.push("I wonder whether ") == [Thought("I wonder whether")]
    assert parser.push("this </thing") == [Thought(" this </thing")]
