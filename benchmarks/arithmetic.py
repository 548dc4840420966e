"""Floating-point operations: how many a model needs, and how many this machine does in a second."""

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.profiler import model_analyzer, option_builder


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Returns the median time of a call; one call beforehand is not counted."""
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def matmul_flops(size: int = 2048) -> float:
    """Returns the operations a second of a large float32 matrix product: the limit that a network can come near."""
    matrix = tf.random.normal((size, size))
    return 2 * size**3 / median_seconds(lambda: tf.matmul(matrix, matrix).numpy(), 10)


def forward_flops(serve: Callable, image: tf.Tensor) -> int:
    """Returns the operations of one call, counted by TensorFlow's profiler on the graph for this batch."""
    graph = convert_variables_to_constants_v2(tf.function(lambda: serve(image=image)).get_concrete_function()).graph
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return model_analyzer.profile(graph, options=options).total_float_ops
