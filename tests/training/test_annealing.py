"""The ramp: nothing, then linear growth, then everything, whatever epoch is asked first."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexzoo.training.annealing import AnnealedVariable, LinearRamp


@given(warm_up=st.integers(0, 30), ramp=st.integers(0, 30), hold=st.integers(1, 30))
def test_ramp(warm_up: int, ramp: int, hold: int) -> None:
    schedule = LinearRamp(warm_up + ramp + hold, warm_up, hold)
    shares = [schedule.share(epoch) for epoch in range(schedule.epochs)]
    assert schedule.ramp_epochs == ramp
    assert shares[:warm_up] == [0.0] * warm_up
    assert shares[warm_up + ramp :] == [1.0] * hold
    # The warm-up's last epoch and the hold's first are the ends of one straight line.
    steps = np.diff([0.0, *shares[warm_up : warm_up + ramp + 1]])
    np.testing.assert_allclose(steps, 1.0 / (ramp + 1))


@pytest.mark.parametrize("values", [(10, -1, 3), (10, 3, 0), (10, 6, 5)])
def test_impossible_ramps(values: tuple[int, int, int]) -> None:
    epochs, warm_up, hold = values
    with pytest.raises(ValueError, match=f"Received: warm_up_epochs={warm_up}, hold_epochs={hold}, epochs={epochs}"):
        LinearRamp(*values)


def test_variable_depends_on_the_epoch_alone() -> None:
    variable = keras.Variable(7.0)
    callback = AnnealedVariable(variable, 2.0, LinearRamp(6, 2, 1), "strength")
    for epoch, expected in ((4, 1.5), (0, 0.0), (2, 0.5), (5, 2.0)):
        logs = {"loss": 1.0}
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, logs)
        assert float(variable) == logs["strength"] == expected
