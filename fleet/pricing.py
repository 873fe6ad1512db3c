"""What tokens cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

_PER = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """For a million tokens, in settings.CURRENCY."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    """Of what the prompt had in a cache; None: as any other input."""

    @property
    def cached(self) -> Decimal:
        return self.input if self.cached_input is None else self.cached_input

    def of(self, prompt_tokens: int, completion_tokens: int, *, cached_tokens: int = 0) -> Decimal:
        """`cached_tokens`: of the prompt's."""
        fresh = self.input * (prompt_tokens - cached_tokens)
        return (fresh + self.cached * cached_tokens + self.output * completion_tokens) / _PER


def dearest(prices: Iterable[Price]) -> Price | None:
    """What is paid at most, whoever of them answers; None where no price is known."""
    known = list(prices)
    if not known:
        return None
    return Price(
        input=max(price.input for price in known),
        output=max(price.output for price in known),
        cached_input=max(price.cached for price in known),
    )


class Priced(Protocol):
    """A row with prices; None: not known."""

    input_price: Decimal | None
    cached_input_price: Decimal | None
    output_price: Decimal | None


def price_in(*rows: Priced) -> Price | None:
    """That of the first row that has any; None where none has."""
    for row in rows:
        if row.input_price is not None or row.output_price is not None:
            return Price(
                input=row.input_price or Decimal(0),
                output=row.output_price or Decimal(0),
                cached_input=row.cached_input_price,
            )
    return None
