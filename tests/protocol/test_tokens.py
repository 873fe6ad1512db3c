import pytest

from protocol.tokens import TOKEN_PATTERN, TokenKind, hash_token, is_well_formed, make_token, token_hint


@pytest.mark.parametrize("kind", TokenKind)
def test_a_new_token_is_recognised_as_one_of_its_kind_only(kind):
    token = make_token(kind)
    assert [other for other in TokenKind if is_well_formed(token, other)] == [kind]


def test_a_token_with_one_wrong_letter_is_not_well_formed():
    token = make_token(TokenKind.API_KEY)
    wrong = token[:20] + ("a" if token[20] != "a" else "b") + token[21:]
    assert not is_well_formed(wrong, TokenKind.API_KEY)


@pytest.mark.parametrize("text", ["", "sk-flt-", "sk-openai", "sk-flt-" + "é" * 49, "\ud800"])
def test_other_text_is_not_well_formed(text):
    assert not is_well_formed(text, TokenKind.API_KEY)


def test_any_text_can_be_hashed():
    assert len(hash_token("\ud800 lone surrogate")) == 64


def test_the_hint_gives_too_little_to_use_the_token():
    token = make_token(TokenKind.API_KEY)
    assert token_hint(token) == token[:11] + "…" + token[-4:]


def test_scanners_find_a_token_in_the_middle_of_a_text():
    token = make_token(TokenKind.JOIN_TOKEN)
    assert TOKEN_PATTERN.findall(f"run --join-token '{token}', please") == [token]
