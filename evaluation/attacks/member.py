"""One attack of a suite, with its name in tables."""

import dataclasses

from cortexzoo.evaluation.attacks.base import Attack


@dataclasses.dataclass(frozen=True)
class Member:
    """One attack of a suite.

    Attributes:
        attack: the attack with its settings.
        label: its name in tables.
        samples: at most this many of the evaluated images; None for all.
        endpoints: the first of these that a model has is attacked, and "logits" is the last; none for those that every
            suite differentiates.
    """

    attack: Attack
    label: str
    samples: int | None = None
    endpoints: tuple[str, ...] = ()
