"""What a recipe refuses before it trains."""

import pytest

from cortexzoo.training.configuration import ConfigError, change_config
from cortexzoo.training.limits import COMMON, OneOf, Range, Sequence
from cortexzoo.training.recipes import RECIPES, Recipe, find


@pytest.mark.parametrize(
    ("limit", "accepted", "refused", "text"),
    [
        (Range(1, 3), [1, 2.5, 3], [0, 3.01, "2", True, None, [2]], "from 1 to 3"),
        (Range(0.0, 1e3), [0.0, 1000], [-1e-9, float("nan"), float("inf"), -float("inf")], "from 0.0 to 1,000.0"),
        (Range(0.0, 1.0, above_low=True), [1e-30, 1.0], [0.0, -0.0], "above 0.0 and at most 1.0"),
        (OneOf(("a", "b")), ["a"], ["c", "", 1, ["a"]], "one of a, b"),
        (Sequence(Range(1, 9)), [[1], (9, 2)], [[], [0], [1, "2"], 5, "12", [[1]]], "a list of values from 1 to 9"),
    ],
)
def test_limits(limit: object, accepted: list, refused: list, text: str) -> None:
    assert all(map(limit.accepts, accepted))
    assert not any(map(limit.accepts, refused))
    assert str(limit) == text


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.id)
def test_every_setting_of_a_recipe_has_a_limit(recipe: Recipe) -> None:
    """Or names a model, which is looked up; and the defaults are within the limits."""
    config = recipe.config()
    assert set(config) <= {*COMMON, *recipe.limits, *recipe.bases}
    if not recipe.id.endswith(("_features", "_recordings")):
        recipe.check_config(config)


@pytest.mark.parametrize("recipe_id", ["mnist/cnn", "mnist/sigmoid_mlp", "mnist/pgd_relu_cnn", "fashion_mnist/resnet_pixel"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=0", "Expected epochs to be from 1 to 100,000. Received: epochs=0"),
        ("epochs=-3", "Received: epochs=-3"),
        ("batch_size=-5", "Expected batch_size to be from 1 to 10,000. Received: batch_size=-5"),
        ("batch_size=1000000000", "Received: batch_size=1000000000"),
        ("learning_rate=NaN", "Expected learning_rate to be above 0.0 and at most 10.0. Received: learning_rate=nan"),
        ("learning_rate=1e30", "Received: learning_rate=1e\\+30"),
        ("learning_rate=-Infinity", "Received: learning_rate=-inf"),
        ("learning_rate=0", "Received: learning_rate=0"),
        ("seed=-1", "Expected seed to be from 0 to 4,294,967,295. Received: seed=-1"),
        (f"seed={2**64}", "Received: seed=18446744073709551616"),
        ("dataset=nope", "Expected the data set .* Received: 'nope'"),
    ],
)
def test_nonsense_is_refused_by_every_recipe(recipe_id: str, change: str, message: str) -> None:
    recipe = find(recipe_id)
    with pytest.raises(ConfigError, match=message):
        recipe.check_config(change_config(recipe.config(), [change]))


@pytest.mark.parametrize(
    ("recipe_id", "changes", "message"),
    [
        ("mnist/sigmoid_mlp", ["activation=swish"], "activation to be one of sigmoid, tanh, .*Received: activation='swish'"),
        ("mnist/relu_cnn", ["class_name=ResidualNetwork"], "class_name to be one of MultilayerPerceptron, MaxPooling"),
        ("mnist/wide_sigmoid_mlp", ["hidden_units=[]"], r"hidden_units to be a list of values from 1 to .*Received: .*\(\)"),
        ("mnist/wide_sigmoid_mlp", ["hidden_units=[8, 0]"], r"Received: hidden_units=\(8, 0\)"),
        ("mnist/sigmoid_mlp", ["hold_epochs=0"], "hold_epochs to be from 1"),
        ("mnist/saturating_sigmoid_mlp", ["epochs=5"], "both together at most `epochs`.*epochs=5"),
        ("mnist/saturating_sigmoid_mlp", ["strength=-1"], "strength to be from 0.0"),
        ("mnist/fgsm_relu_mlp", ["epsilon=76"], "epsilon to be from 0.0 to 1.0. Received: epsilon=76"),
        ("mnist/pgd_relu_mlp", ["attack_steps=0"], "attack_steps to be from 1"),
        ("mnist/pgd_relu_mlp", ["relative_step=0"], "relative_step to be above 0.0"),
        ("mnist/cnn", ["max_shift=28"], "max_shift to be from 0 to 14"),
        ("mnist/dim", ["denoiser_widths=[]"], "denoiser_widths to be a list"),
        ("mnist/dim", ["internal_noise=Infinity"], "internal_noise to be from 0.0"),
        ("mnist/dim", ["denoiser=false", "denoiser_base=mnist/dim"], "denoiser=true with a denoiser_base"),
        ("mnist/resnet", ["depth=20"], "depth to be one of 18, 34. Received: depth=20"),
        ("mnist/resnet", ["dtype=int8"], "dtype to be one of float32, "),
        ("mnist/resnet", ["momentum=1"], "momentum to be from 0.0 to 0.999"),
        ("mnist/resnet", ["initial_weights=zeros"], "initial_weights to be one of he, pytorch"),
        (
            "mnist/resnet",
            ["train_images=63"],
            "train_images of 0, for all, or at least the batch_size of 64. ",
        ),
        ("mnist/resnet", ["target=pixels"], "target to be one of none, constant, "),
        ("mnist/resnet_thresholded", ["side=left"], "side to be one of both, low"),
        ("mnist/resnet_thresholded", ["threshold=1"], "threshold to be from 0.0 to 0.999"),
        ("mnist/resnet_thresholded", ["pairs=0"], "pairs to be from 1"),
        ("mnist/resnet_thresholded", ["statistics=none"], "statistics to be one of class, all"),
        ("mnist/resnet_thresholded", ["regularization_images=1"], "regularization_images to be from 2"),
        ("mnist/resnet_thresholded", ["regularization_choice=last"], "regularization_choice to be one of random, first"),
        (
            "mnist/resnet_thresholded",
            ["regularization_dataset=cifar10"],
            r"\(28, 28, 1\), as in mnist. Received: cifar10",
        ),
        ("fashion_mnist/resnet_v1", ["v1_trials=1"], "v1_trials to be from 2"),
        ("fashion_mnist/resnet_shuffled", ["shuffled_of=pixels"], "must be one of constant, .*Received: name='pixels'"),
        ("fashion_mnist/resnet_shuffled", ["shuffled_of=shuffled"], "shuffled_of must be another target than shuffled"),
        (
            "fashion_mnist/resnet_features",
            [],
            "needs a value of features_model, as in --set=features_model=",
        ),
        ("fashion_mnist/resnet_recordings", [], "needs a value of recordings, as in --set=recordings=mouse.npz"),
    ],
)
def test_settings_outside_their_limits(recipe_id: str, changes: list[str], message: str) -> None:
    recipe = find(recipe_id)
    with pytest.raises(ConfigError, match=message):
        recipe.check_config(change_config(recipe.config(), changes))


def test_a_recipe_refuses_before_it_fits(tmp_path: object) -> None:
    config = change_config(find("mnist/sigmoid_mlp").config(), ["epochs=0"])
    with pytest.raises(ConfigError, match="epochs"):
        find("mnist/sigmoid_mlp").train(config, tmp_path)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, "nine"])
def test_values_that_are_no_json_are_text(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected an int for seed\. Received: "):
        change_config(find("mnist/cnn").config(), [f"seed={text}"])
