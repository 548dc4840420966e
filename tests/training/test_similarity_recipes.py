"""The recipes of the similarity regulariser: what a config asks for is what is built."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.training import targets
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.recipes import find
from cortexzoo.training.recipes import similarity as recipes
from cortexzoo.training.recipes.similarity_settings import ignored_settings
from cortexzoo.training.targets import SimilarityTarget
from tests.training.interrupted_fit import few_images
from tests.training.tiny_classifier import TinyClassifier
from tests.zoo.conftest import SMALL_ID, catalogue, published  # noqa: F401

TRAIN, VALIDATION = few_images("mnist", "train"), few_images("mnist", "validation")

PLAIN = {"side": "both", "inner_threshold": 0.0, "signs": True, "average_channels": False}
THRESHOLDED_SHUFFLED = {"target": "shuffled", "shuffled_of": "thresholded", "side": "high"}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Recipes with the tiny classifier and few images; returns the calls of `targets.build`."""
    calls: list[tuple] = []
    build = targets.build

    def recorded(name: str, images: np.ndarray, *, seed: int, **options: object) -> SimilarityTarget:
        calls.append((name, len(images), seed, options))
        return build(name, images, seed=seed, **options)

    monkeypatch.setattr(targets, "build", recorded)
    monkeypatch.setattr(datasets, "load", few_images)
    monkeypatch.setattr(recipes, "build_network", lambda config, dtype: TinyClassifier(dtype=dtype))
    return calls


def small_config(recipe_id: str, **changes: object) -> ConfigDict:
    config = find(recipe_id).config()
    config.update({"epochs": 1, "batch_size": 32, "pairs": 4, "regularization_images": 100, **changes})
    return config


@pytest.mark.parametrize(
    ("recipe_id", "expected"),
    [
        ("fashion_mnist/resnet", None),
        ("mnist/resnet_thresholded", ("thresholded", {"threshold": 0.2, **PLAIN})),
    ],
)
def test_recipe(recipe_id: str, expected: tuple | None, requests: list[tuple], tmp_path: Path) -> None:
    config = small_config(recipe_id, dtype="mixed_bfloat16" if expected is None else "float32", augment=False)
    trained = find(recipe_id).fit(config, tmp_path)
    assert requests == ([(expected[0], 100, 0, expected[1])] if expected else [])
    assert trained.model.dtype_policy.name == "float32"
    # Nothing of the regulariser is in what is published.
    bare = TinyClassifier()
    bare.build()
    assert [weight.shape for weight in trained.model.weights] == [weight.shape for weight in bare.weights]
    logits = ops.convert_to_numpy(trained.model(VALIDATION.images))
    assert trained.validation["accuracy"] == pytest.approx((logits.argmax(axis=1) == VALIDATION.labels).mean())
    weights = trained.details.get("layer_weights", {})
    assert tuple(weights) == (TinyClassifier.taps if expected else ())
    assert sum(weights.values()) == pytest.approx(1.0 if expected else 0.0)
    assert trained.details.get("target") == ({} if expected else None)


@pytest.mark.parametrize(
    ("recipe_id", "changes", "options"),
    [
        ("fashion_mnist/resnet_pixel", {}, {"average_channels": False}),
        ("fashion_mnist/resnet_thresholded", {"side": "low"}, {"threshold": 0.8, **PLAIN, "side": "low"}),
        ("cifar10_gray/resnet_v1", {"v1_trials": 4}, {"units": 1000, "trials": 4, "complex_share": 0.5}),
        ("cifar10_gray/resnet_shuffled", {}, {"of": "pixel", "average_channels": False}),
        ("fashion_mnist/resnet_constant", {}, {}),
        ("mnist/resnet_thresholded", THRESHOLDED_SHUFFLED, {"of": "thresholded", "threshold": 0.2, **PLAIN, "side": "high"}),
    ],
)
def test_target_of_a_recipe(recipe_id: str, changes: dict, options: dict, requests: list[tuple]) -> None:
    config = small_config(recipe_id, **changes)
    recipes.pair_target(config)
    assert requests[0] == (config.target, 100, 0, options)


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("shuffled", [False, True])
def test_features_come_from_a_catalogued_model(shuffled: bool, requests: list[tuple]) -> None:
    changes = {"target": "shuffled", "shuffled_of": "features"} if shuffled else {}
    config = small_config("fashion_mnist/resnet_features", features_layer="latents", **changes)
    with pytest.raises(ValueError, match=r"as in --set=features_model=fashion_mnist/resnet. Received: none"):
        recipes.pair_target(config)
    config.features_model = SMALL_ID
    assert len(recipes.pair_target(config).images) == 100
    options = {"model": SMALL_ID, "layer": "latents", **({"of": "features"} if shuffled else {})}
    assert requests[0] == (config.target, 100, 0, options)


def test_settings_that_a_recipe_lacks() -> None:
    with pytest.raises(ValueError, match=r"needs a value of features_model, .*Received: none"):
        recipes.pair_target(small_config("fashion_mnist/resnet_pixel", target="features"))


def test_channels_of_colour_images_can_be_averaged(requests: list[tuple]) -> None:
    recipes.pair_target(small_config("cifar10/resnet_thresholded", average_channels=True))
    recipes.pair_target(small_config("cifar10/resnet_thresholded", target="pixel", average_channels=True))
    options = {**PLAIN, "threshold": 0.8, "average_channels": True}
    assert requests == [("thresholded", 100, 0, options), ("pixel", 100, 0, {"average_channels": True})]


def test_weights_may_be_drawn_as_in_the_papers_code() -> None:
    drawn = []
    for changes in ({}, {"initial_weights": "pytorch"}, {"initial_weights": "pytorch"}):
        keras.utils.set_random_seed(0)
        config = small_config("fashion_mnist/resnet", width=4, dtype="float32", **changes)
        _, network, _ = recipes.build_model(config, TRAIN)
        drawn.append(network.get_weights())
        for weight in network.trainable_variables:
            if weight.name == "kernel" and weight.shape != network.head.kernel.shape:
                fan_in, fan_out = np.prod(weight.shape[:-1]), np.prod(weight.shape[:-2]) * weight.shape[-1]
                expected = 1 / (3 * fan_in) if changes else 2 / fan_out
                assert ops.convert_to_numpy(weight).var() == pytest.approx(expected, rel=0.6)
    for first, second in zip(*drawn[1:], strict=True):
        np.testing.assert_array_equal(first, second)


def test_similarities_may_be_compared_as_they_are(requests: list[tuple]) -> None:
    for transform in (True, False):
        model, *_ = recipes.build_model(small_config("fashion_mnist/resnet_pixel", transform=transform), TRAIN)
        assert model.regularizer.transform is transform


@pytest.mark.parametrize(
    ("recipe_id", "changes", "ignored"),
    [
        ("fashion_mnist/resnet_pixel", {}, []),
        ("fashion_mnist/resnet_pixel", {"side": "high", "threshold": 0.1}, ["threshold", "side"]),
        ("fashion_mnist/resnet", {"pairs": 8, "strength": 1.0}, ["strength", "pairs"]),
        ("mnist/resnet_thresholded", {"threshold": 0.1, "signs": False, "pairs": 8}, []),
        ("mnist/resnet_thresholded", {**THRESHOLDED_SHUFFLED}, []),
        ("mnist/resnet_thresholded", {"target": "pixel", "signs": False}, ["signs"]),
        ("cifar10/resnet_thresholded", {"target": "pixel", "average_channels": True}, []),
        ("cifar10_gray/resnet_recordings", {"recordings": "a.npz", "regularization_images": 9}, ["regularization_images"]),
        ("fashion_mnist/resnet_gaussian", {"noise": 0.2}, []),
    ],
)
def test_settings_that_nothing_reads(recipe_id: str, changes: dict, ignored: list[str]) -> None:
    config = find(recipe_id).config()
    config.update(changes)
    assert ignored_settings(config) == ignored


def test_no_recipe_sets_what_nothing_reads() -> None:
    assert all(ignored_settings(recipe.config()) == [] for recipe in recipes.RECIPES)


def test_recordings_come_from_a_file(requests: list[tuple], tmp_path: Path) -> None:
    config = small_config("fashion_mnist/resnet_recordings")
    with pytest.raises(ValueError, match=r"as in --set=recordings=mouse.npz. Received: none"):
        recipes.pair_target(config)
    config.recordings = str(tmp_path / "none.npz")
    with pytest.raises(ConfigError, match=r"none.npz"):
        recipes.pair_target(config)
    options = {"path": config.recordings, "responses": "predicted", "epochs": 30}
    assert requests == [("recordings", 100, 0, options)]
    with pytest.raises(ConfigError, match=r"none.npz"):
        recipes.pair_target(config, tmp_path)
    assert requests[1][3] == {**options, "directory": tmp_path / "predictor"}


@pytest.mark.usefixtures("requests")
def test_targets_of_one_seed_start_from_the_same_weights_and_see_the_same_batches() -> None:
    started = []
    for recipe_id in ("fashion_mnist/resnet", "fashion_mnist/resnet_pixel"):
        keras.utils.set_random_seed(3)
        _, network, batches = recipes.build_model(small_config(recipe_id, seed=3), TRAIN)
        inputs = batches[1][0]
        started.append([*network.get_weights(), inputs["images"] if isinstance(inputs, dict) else inputs])
    for a, b in zip(*started, strict=True):
        np.testing.assert_array_equal(a, b)


def test_regularisation_set_may_be_another(requests: list[tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(datasets, "load", lambda name, split: loaded.append((name, split)) or few_images(name, split))
    config = small_config("mnist/resnet_thresholded", regularization_dataset="fashion_mnist", seed=5)
    target = recipes.pair_target(config)
    assert loaded == [("fashion_mnist", "train")]
    assert requests == [("thresholded", 100, 5, {"threshold": 0.2, **PLAIN})]
    other = recipes.pair_target(small_config("mnist/resnet_thresholded", seed=6))
    assert len(np.unique(target.images.reshape(100, -1), axis=0)) == 100
    assert (target.images != other.images).any(), "the seed chooses the images"


@pytest.mark.usefixtures("requests")
def test_regularisation_set_is_of_the_images_that_are_trained_on() -> None:
    first = few_images("mnist", "train").images[:40]
    target = recipes.pair_target(small_config("mnist/resnet_thresholded", train_images=40, regularization_images=30))
    assert len(target.images) == 30
    assert all((image == first).all(axis=(1, 2, 3)).any() for image in target.images)


def test_regularisation_set_as_in_the_published_code(requests: list[tuple]) -> None:
    """The first images, each shifted and mirrored once; their targets are those of the images as they are then."""
    load = few_images("cifar10", "train").images
    config = small_config("cifar10/resnet_thresholded", regularization_images=20, regularization_choice="first")
    np.testing.assert_array_equal(recipes.pair_target(config).images, load[:20])
    config.regularization_augmented = True
    target, again = recipes.pair_target(config), recipes.pair_target(config)
    np.testing.assert_array_equal(target.images, again.images)
    side, padded = target.images.shape[1], np.pad(load[:20], ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    seen = set()
    for image, source in zip(target.images, padded, strict=True):
        windows = {(y, x): source[y : y + side, x : x + side] for y in range(9) for x in range(9)}
        (found,) = ((at, flip) for at, w in windows.items() for flip in (1, -1) if (w[:, ::flip] == image).all())
        seen.add(found)
    assert {flip for _, flip in seen} == {1, -1}
    assert len(seen) > 10
    expected = targets.build("thresholded", target.images, seed=0, threshold=config.threshold)
    pairs = np.triu_indices(20, 1)
    np.testing.assert_array_equal(target.similarity(*pairs), expected.similarity(*pairs))


@pytest.mark.parametrize("dataset", ["fashion_mnist", "cifar10_gray"])
def test_controls_without_a_target(dataset: str) -> None:
    """They differ from the plain network in the noise of the batches and in the blur of the network alone."""
    noisy, blurred, plain = (find(f"{dataset}/resnet{suffix}").config() for suffix in ("_gaussian", "_blurred", ""))
    assert {**noisy, "noise": 0.0} == {**blurred, "blur": 0.0} == dict(plain)
    assert recipes.class_batches(noisy, TRAIN).noise == 0.1
    assert recipes.build_network(blurred, "float32").blur == 1.0


def test_published_settings() -> None:
    settings_ = {id_: find(id_).config() for id_ in ("mnist/resnet_thresholded", "cifar10/resnet_thresholded")}
    assert [(c.strength, c.threshold, c.augment) for c in settings_.values()] == [(4.0, 0.2, False), (10.0, 0.8, True)]


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10", "cifar10_gray"])
def test_network_of_a_recipe(dataset: str) -> None:
    config = find(f"{dataset}/resnet").config()
    network = recipes.build_network(config, "float32")
    assert network.get_config() == {
        "name": network.name,
        "image_shape": list(datasets.info(dataset).image_shape),
        "num_classes": 10,
        "depth": 18,
        "width": 16,
        "blur": 0.0,
    }
