"""Floating-point operations: how many a model needs, and how many this machine does per second."""

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.profiler import model_analyzer, option_builder


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Returns the median duration of a call, after one uncounted call."""
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def matmul_flops(size: int = 2048) -> float:
    """Returns the operations per second of a large float32 matrix product, a practical limit for networks."""
    matrix = tf.random.normal((size, size))
    return 2 * size**3 / median_seconds(lambda: tf.matmul(matrix, matrix).numpy(), 10)


def forward_flops(serve: Callable, image: tf.Tensor) -> int:
    """Returns the number of operations of one call, counted by TensorFlow's profiler on the graph for this batch."""
    graph = convert_variables_to_constants_v2(tf.function(lambda: serve(image=image)).get_concrete_function()).graph
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return model_analyzer.profile(graph, options=options).total_float_ops
