"""What a setting may be. A recipe refuses anything else before it trains."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, Protocol


class Limit(Protocol):
    """A set of values; as text it follows "Expected NAME to be"."""

    def accepts(self, value: Any) -> bool:
        """Returns whether the value is in the set; never raises."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; NaN and infinity are never accepted.

    Attributes:
        low, high: float.
        above_low: bool. `low` itself is not accepted. Defaults to False.
    """

    low: float
    high: float
    above_low: bool = False

    def accepts(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return (self.low < value if self.above_low else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.above_low:
            return f"above {self.low:,} and at most {self.high:,}"
        return f"from {self.low:,} to {self.high:,}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def __init__(self, values: Iterable[Any]) -> None:
        object.__setattr__(self, "values", tuple(values))

    def accepts(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A list, not empty, each of whose values is within a limit."""

    each: Limit

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and len(value) > 0 and all(map(self.each.accepts, value))

    def __str__(self) -> str:
        return f"a list of values {self.each}"


class Anything:
    """Every value: a switch, or a name that is looked up elsewhere."""

    def accepts(self, value: Any) -> bool:
        return True

    def __str__(self) -> str:
        return "anything"


ANYTHING = Anything()
SEED = Range(0, 2**32 - 1)
EPOCHS = Range(1, 100_000)
# The smallest training split has 45,000 images.
BATCH_SIZE = Range(1, 10_000)
LEARNING_RATE = Range(0.0, 10.0, above_low=True)
WIDTHS = Sequence(Range(1, 100_000))
STANDARD_DEVIATION = Range(0.0, 10.0)
# Settings that mean the same in all recipes.
COMMON: dict[str, Limit] = {
    # `Recipe.check_config` compares it with the recipe's id.
    "dataset": ANYTHING,
    "seed": SEED,
    "epochs": EPOCHS,
    "batch_size": BATCH_SIZE,
    "learning_rate": LEARNING_RATE,
}
