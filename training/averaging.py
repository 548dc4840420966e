"""The average of the weights over the steps of a training, which optimizers of Keras keep with `use_ema=True`."""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Gives a model its averaged weights for a while, where its optimizer averages; otherwise does nothing.

    Exponential moving averages of weights raise the robustness of adversarially trained networks (Rebuffi et al. 2021,
    https://arxiv.org/abs/2103.01946).
    """
    optimizer = getattr(model, "optimizer", None)
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    _swap(optimizer)
    try:
        yield
    finally:
        _swap(optimizer)


def _swap(optimizer: keras.optimizers.Optimizer) -> None:
    for variable, average in zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True):
        value = ops.convert_to_numpy(variable)
        variable.assign(average)
        average.assign(value)
