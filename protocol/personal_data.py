"""Rule: personal data in a line that is about to be logged, masked: addresses, telephone numbers, accounts, cards.

What only looks alike must stay readable, since logs are read when something is wrong: times, sizes, ids, versions.
"""

import re

_LATIN = "0-9A-Za-z_"
"""What goes on with a number; Chinese characters stand beside it without a space."""
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_PHONE = re.compile(
    rf"(?<![{_LATIN}.+-])(?:"
    # With its country: +49 (30) 1234-567.
    r"\+\d(?:[ ()./-]{0,2}\d){6,14}"
    # In groups of three and four, as in North America: (555) 123-4567.
    r"|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"
    # A mobile number in China, in groups or in one.
    r"|1[3-9]\d(?:[ -]\d{4}[ -]\d{4}|\d{8})"
    rf")(?![{_LATIN}.-]*\d)"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
# None begins with 1: times in nanoseconds do.
_CARD = re.compile(rf"(?<![{_LATIN}.-])[2-6]\d{{3}}(?:[ -]?\d){{9,15}}(?![{_LATIN}-])")
_SEVEN_DIGITS = re.compile(r"\d(?:[A-Z ()./-]{0,6}\d){6}")
"""Without them there is no number of any kind: most lines are done here."""


def masked(text: str) -> str:
    """The text with `[e-mail]`, `[phone]`, `[iban]` and `[card]` in their places. Takes linear time."""
    if "@" in text:
        text = _EMAIL.sub("[e-mail]", text)
    if not _SEVEN_DIGITS.search(text):
        return text
    text = _IBAN.sub(lambda found: "[iban]" if _is_iban(found[0]) else found[0], text)
    text = _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    return _PHONE.sub(lambda found: found[0] if _is_size(found[0]) else "[phone]", text)


def _is_iban(text: str) -> bool:
    """By its check digits, ISO 13616."""
    text = text.replace(" ", "")
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """By Luhn's sum."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_size(text: str) -> bool:
    """Bytes of memory are as long as a mobile number; they are counted in pages."""
    return text.isdigit() and int(text) % 1024 == 0
