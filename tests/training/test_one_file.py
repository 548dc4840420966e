"""A similarity target and a recipe are one file each: what recipes, settings and commands know of them is found."""

import subprocess
import sys
from pathlib import Path

TARGET = '''
"""Similarity of mean brightness."""

import numpy as np
from cortexzoo.training.limits import Range
from cortexzoo.training.targets.base import CosineSimilarity, SimilarityTarget
from cortexzoo.training.targets.specification import Setting, TargetSpecification


def build(images: np.ndarray, seed: int, *, power: float = 1.0) -> SimilarityTarget:
    return CosineSimilarity(images, [images.mean(axis=(1, 2)) ** power])


TARGET = TargetSpecification(
    name="brightness",
    title="similarities of brightness",
    description="Images of one brightness shall be alike.",
    build=build,
    settings=(Setting("brightness_power", 2.0, Range(0.0, 9.0), option="power"),),
    from_paper=("Power {brightness_power:g}.",),
    datasets=("mnist",),
)
'''
RECIPE = '''
"""A copy of the CNN under another name."""

import dataclasses

from cortexzoo.training.recipes.cnn import RECIPES as CNN

RECIPES = [dataclasses.replace(CNN[0], id="mnist/copied_cnn")]
'''
PROGRAM = """
import sys
import numpy as np
from cortexzoo.training import targets
targets.__path__.append(sys.argv[1] + "/targets")
import importlib.util
package = importlib.util.find_spec("cortexzoo.training.recipes")
recipes = importlib.util.module_from_spec(package)
sys.modules[package.name] = recipes
recipes.__path__.append(sys.argv[1] + "/recipes")
package.loader.exec_module(recipes)
from cortexzoo.training.recipes.similarity_settings import ignored_settings
from cortexzoo.training.targets import registry

recipe, config = recipes.find("mnist/resnet_brightness"), recipes.find("mnist/resnet_brightness").config()
assert recipe.title == "ResNet18 with similarities of brightness on MNIST"
assert recipe.from_paper[-1] == "Power 2."
assert (recipe.variant, recipe.variant_of) == ("brightness", "mnist/resnet")
recipe.check_config(config)
assert registry.options(config) == {"power": 2.0}
config.brightness_power = 10.0
try:
    recipe.check_config(config)
except ValueError as error:
    assert "Expected brightness_power to be from 0.0 to 9.0" in str(error)
else:
    raise AssertionError("not refused")
config.target = "pixel"
assert ignored_settings(config) == ["brightness_power"]
shuffled = recipes.find("fashion_mnist/resnet_shuffled").config()
shuffled.shuffled_of = "brightness"
assert registry.options(shuffled) == {"of": "brightness", "power": 2.0}
images = np.random.default_rng(0).random((5, 4, 4, 1))
assert targets.build("brightness", images, seed=0).similarity(np.array([0]), np.array([0])) == 1.0
assert recipes.find("mnist/copied_cnn").title == "CNN on MNIST"
"""


def test_a_new_file_is_found(tmp_path: Path) -> None:
    for name, text in (("targets/brightness.py", TARGET), ("recipes/copied.py", RECIPE)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    result = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
