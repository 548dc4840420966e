"""Learning-rate schedules that Keras does not have."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class RestartedStepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """initial * 0.3^floor((e mod 20) / 4) for e in 0 ... 39, the schedule of Attias et al., stretched over `steps` steps.

    If `steps` makes 40 epochs, e is the epoch, as published. A shorter run goes through the same 40 parts faster.

    Args:
        initial: float. The learning rate at the start, and again after half of the steps.
        steps: int. Steps of the whole training.
    """

    parts, period, hold, factor = 40, 20, 4, 0.3

    def __init__(self, initial: float, steps: int) -> None:
        self.initial, self.steps = initial, steps

    def __call__(self, step: Any) -> Any:
        # The product first: where the quotient of two integers is an integer, it is then exact.
        part = ops.floor(ops.cast(step, "float32") * self.parts / self.steps)
        return self.initial * ops.power(self.factor, ops.floor(ops.mod(part, self.period) / self.hold))

    def get_config(self) -> dict[str, Any]:
        return {"initial": self.initial, "steps": self.steps}
