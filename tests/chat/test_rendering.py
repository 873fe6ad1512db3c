"""What a model writes becomes HTML that is safe, and the same whether it came at once or in pieces."""

import pytest

from chat.rendering import MAX_RENDERED, LiveDocument, closed_length, render_markdown
from chat.sanitising import sanitised

DOCUMENT = r"""# Sorting

Cost is $O(n \log n)$, price $5 and $6. So:
\[ \frac{a}{b}
- c \]
and \(e^{i\pi}\).

- [x] done
- [ ] to do

1. one

2. two
   - nested

| a | b |
|:--|--:|
| 1 | 2 |

```python
def f(x):
    '''doc

    string'''
    return x
```

$$
\sum_{i=0}^n x_i
$$

> quoted
lazily

last *words*
"""


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](data:text/html,<script>alert(1)</script>)",
        "![x](https://tracker.example/pixel.png)",
        "<style>body{display:none}</style>",
        "<iframe src=https://evil.example></iframe>",
        '<a href="https://x" onclick="alert(1)">x</a>',
        "```html\n<script>alert(1)</script>\n```",
        '```"><script>alert(1)</script>\ncode\n```',
        r"$\text{<script>alert(1)</script>}$",
        r"$\href{javascript:alert(1)}{x}$",
        "| a |\n|--|\n| <svg onload=alert(1)> |",
    ],
)
def test_nothing_a_model_writes_runs_or_fetches_anything(attack: str):
    html = render_markdown(attack)
    for forbidden in ("<script", "<img", "<style", "<iframe", "<svg", "<form", ' href="javascript', ' href="data'):
        assert forbidden not in html.lower()


def test_the_second_wall_stops_what_the_renderer_might_let_through():
    html = sanitised('<p onclick="x()" style="color:red">a</p><script>x()</script><form><button>b</button></form>')
    assert html == "<p>a</p>b"


def test_no_element_carries_an_inline_style_or_handler():
    html = render_markdown(DOCUMENT)
    assert " style=" not in html
    assert " on" not in html.replace(" one", "")


def test_links_open_apart_and_tell_the_other_site_nothing():
    html = render_markdown("[site](https://example.org)")
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_links_into_this_installation_are_not_followed():
    assert "href" not in render_markdown("[sign out](/logout/)")


def test_an_image_becomes_a_link_to_it():
    assert render_markdown("![a cat](https://example.org/cat.png)").startswith(
        '<p><a href="https://example.org/cat.png"'
    )


@pytest.mark.parametrize(
    "formula", ["$x^2$", r"\(x^2\)", "$$x^2$$", r"\[x^2\]", "so:\n$$\nx^2\n$$", "so:\n\\[\nx^2\n\\]"]
)
def test_every_notation_of_a_formula_becomes_mathml(formula: str):
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in render_markdown(formula)


def test_prices_are_not_formulas():
    assert "<math" not in render_markdown("It costs $5 today and $6 tomorrow.")


def test_a_formula_that_cannot_be_read_is_shown_as_its_source():
    assert "<code>" in render_markdown("$x^2^3$")


def test_a_formula_is_left_alone_in_code():
    assert "$x^2$" in render_markdown("`$x^2$`")


def test_code_is_highlighted_by_classes():
    assert '<span class="k">return</span>' in render_markdown("```python\nreturn 1\n```")


def test_code_of_an_unknown_language_is_shown_plain():
    assert "a &lt; b" in render_markdown("```nonesuch\na < b\n```")


def test_columns_are_aligned_by_a_class():
    assert '<td class="align-right">2</td>' in render_markdown("| a |\n|--:|\n| 2 |")


def test_a_single_line_break_is_kept():
    assert "<br>" in render_markdown("one\ntwo")


def test_a_text_beyond_the_limit_is_shown_as_it_is():
    html = render_markdown("*a* <b>" + "x" * MAX_RENDERED)
    assert html.startswith('<pre class="plain">*a* &lt;b&gt;')


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 10_000])
def test_an_answer_in_pieces_looks_as_it_would_at_once(step: int):
    live = LiveDocument()
    for start in range(0, len(DOCUMENT), step):
        live.append(DOCUMENT[start : start + step])
    assert "".join(live.closed) + live.tail == render_markdown(DOCUMENT)


def test_each_piece_says_which_characters_it_covers():
    live = LiveDocument()
    live.append("Hello ")
    piece = live.append("you")
    assert (piece.offset, piece.end) == (6, 9)


def test_a_closed_block_is_sent_once_and_the_tail_stays_small():
    live = LiveDocument()
    live.append("A paragraph.\n\nAnother\n")
    assert live.append(" one").closed == ""
    assert "paragraph" not in live.tail


def test_a_line_that_is_still_growing_closes_nothing():
    assert closed_length("1. one\n\n2") == 0
    assert closed_length("1. one\n\nText\n") == len("1. one\n\n")


def test_an_open_code_block_holds_everything_after_it():
    assert closed_length("```\nfirst\n\n\nsecond\n\n# not a heading\n") == 0
