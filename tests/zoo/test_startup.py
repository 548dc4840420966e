"""How the commands start TensorFlow."""

import subprocess
import sys

_PROGRAM = """
from cortexzoo.startup import configure_tensorflow

configure_tensorflow()
import tensorflow as tf

for number in range(8):
    # One line of code, eight functions.
    tf.function(lambda x, number=number: x + number)(tf.zeros(2))
tf.get_logger().warning("something else")
"""


def test_functions_of_one_line_are_no_retracing() -> None:
    result = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    assert "retracing" not in result.stderr
    assert "something else" in result.stderr
