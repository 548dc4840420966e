"""Fashion-MNIST: clothes, in the format of MNIST."""

from cortexzoo.datasets.base import DatasetInfo

DATASET = DatasetInfo(
    name="fashion_mnist",
    tfds_name="fashion_mnist",
    image_shape=(28, 28, 1),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    official_test_size=10_000,
    licence="MIT (Zalando SE)",
    thresholds={"linf": 0.3, "l2": 1.5, "l1": 8.0, "l0": 12.0},
    thresholds_source="those of MNIST, a convention of this project",
)
