"""MNIST: handwritten digits. The package holds a copy."""

from cortexzoo.datasets.base import DatasetInfo

DATASET = DatasetInfo(
    name="mnist",
    tfds_name="mnist",
    image_shape=(28, 28, 1),
    class_names=tuple(str(digit) for digit in range(10)),
    official_test_size=10_000,
    licence="CC BY-SA 3.0 (Y. LeCun, C. Cortes)",
    thresholds={"linf": 0.3, "l2": 1.5, "l1": 8.0, "l0": 12.0},
    thresholds_source="Schott et al. 2019, https://arxiv.org/abs/1805.09190; L1: Liu et al. 2022",
)
