"""CIFAR-10: small natural images in colour."""

from cortexzoo.datasets.base import DatasetInfo

DATASET = DatasetInfo(
    name="cifar10",
    tfds_name="cifar10",
    image_shape=(32, 32, 3),
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    official_test_size=10_000,
    natural=True,
    thresholds={"linf": 8 / 255, "l2": 0.5, "l1": 12.0, "l0": 24.0},
    thresholds_source=(
        "L∞, L2: RobustBench, https://arxiv.org/abs/2010.09670; L1: Croce and Hein 2021, https://arxiv.org/abs/2103.01208; "
        "L0: Croce et al. 2022, https://arxiv.org/abs/2006.12834"
    ),
)
