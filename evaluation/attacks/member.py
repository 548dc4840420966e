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
        leaves_at: an image leaves, and is not attacked by this member, once an earlier member of the suite in the same norm
            found an adversarial within this distance, as in AutoAttack (Croce and Hein 2020,
            https://arxiv.org/abs/2003.01690); None if every image is attacked.
    """

    attack: Attack
    label: str
    samples: int | None = None
    endpoints: tuple[str, ...] = ()
    leaves_at: float | None = None
