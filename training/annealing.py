"""Values that grow during training: zero at first, then a linear ramp, then the full value."""

import dataclasses
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class LinearRamp:
    """A share that depends on the epoch: 0 in the warm-up, then rising linearly, then 1 in the hold.

    Attributes:
        epochs: epochs of the whole training.
        warm_up_epochs: number of first epochs, at 0.
        hold_epochs: number of last epochs, at 1.

    Raises:
        ValueError: there is no epoch of hold, or warm-up and hold together are longer than the training.
    """

    epochs: int
    warm_up_epochs: int
    hold_epochs: int

    def __post_init__(self) -> None:
        if self.warm_up_epochs < 0 or self.hold_epochs < 1 or self.ramp_epochs < 0:
            raise ValueError(
                "Expected `warm_up_epochs` >= 0, `hold_epochs` >= 1, and both together at most `epochs`. "
                f"Received: warm_up_epochs={self.warm_up_epochs}, hold_epochs={self.hold_epochs}, epochs={self.epochs}"
            )

    @property
    def ramp_epochs(self) -> int:
        """Epochs between warm-up and hold."""
        return self.epochs - self.warm_up_epochs - self.hold_epochs

    def share(self, epoch: int) -> float:
        """Returns the share in an epoch, counted from 0, in [0, 1]."""
        return float(np.clip((epoch + 1 - self.warm_up_epochs) / (self.ramp_epochs + 1), 0.0, 1.0))


class AnnealedVariable(keras.callbacks.Callback):
    """Sets a scalar variable to `maximum` times the ramp's share at the beginning of each epoch.

    The value depends on the epoch alone, so that a resumed training continues with the right one.

    Args:
        variable: a scalar `keras.Variable`, such as the `weight` of a `SaturationPenalty`.
        maximum: float. The value in the hold.
        ramp: the share in each epoch.
        name: str. Name under which the value of each epoch is logged.
    """

    def __init__(self, variable: keras.Variable, maximum: float, ramp: LinearRamp, name: str) -> None:
        super().__init__()
        self.variable, self.maximum, self.ramp, self.name = variable, maximum, ramp, name

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.variable.assign(self.maximum * self.ramp.share(epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs[self.name] = self.maximum * self.ramp.share(epoch)
