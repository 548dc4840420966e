"""The gradient of a batch against closed forms, on both backends."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cortexzoo.differentiation import batch_gradient

PROGRAM = """
import numpy as np
from keras import ops
from cortexzoo.differentiation import batch_gradient
values = np.arange(6, dtype="float32").reshape(2, 3)
found = batch_gradient(lambda x: ops.sum(x**3, axis=1), ops.convert_to_tensor(values))
np.testing.assert_allclose(ops.convert_to_numpy(found), 3 * values**2)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_gradient_of_a_cubic(backend: str) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment)


def test_other_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    with pytest.raises(NotImplementedError, match="KERAS_BACKEND=torch"):
        batch_gradient(lambda x: x, np.zeros((1, 2)))
