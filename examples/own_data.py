# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own images, your own model
#
# This notebook trains a small Keras model on an array of images with three classes, measures how robust it is, looks
# at an adversarial image, and lets a robustness gate fail as it would in CI. It takes about a minute on a CPU.

# %%
import subprocess
import sys
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import cortexzoo as cz

# %% [markdown]
# ## Images
#
# Replace this cell by your own data. You need images of shape (n, height, width, channels) with values in [0, 1], and
# one integer label for each. Here they are discs, squares and crosses in random places, sizes and colours, 20 x 20
# pixels.

# %%
CLASSES = ["disc", "square", "cross"]


def draw(label: int, generator: np.random.Generator) -> np.ndarray:
    """Returns one noisy image of a shape, (20, 20, 3)."""
    rows, columns = np.mgrid[:20, :20] - generator.uniform(7, 13, (2, 1, 1))
    radius = generator.uniform(4, 6)
    shapes = [
        np.hypot(rows, columns) < radius,
        np.maximum(abs(rows), abs(columns)) < radius,
        (np.minimum(abs(rows), abs(columns)) < radius / 3) & (np.maximum(abs(rows), abs(columns)) < radius),
    ]
    background, colour = generator.uniform(0, 0.4, 3), generator.uniform(0.6, 1, 3)
    image = np.where(shapes[label][..., None], colour, background)
    return np.clip(image + generator.normal(0, 0.05, image.shape), 0, 1).astype("float32")


generator = np.random.default_rng(0)
labels = generator.integers(0, 3, 3000)
images = np.stack([draw(label, generator) for label in labels])
train_images, train_labels, test_images, test_labels = images[:-200], labels[:-200], images[-200:], labels[-200:]

# %% [markdown]
# ## Model
#
# Any Keras classifier will do. A final softmax is fine: the evaluation removes it, because attacks need the logits.

# %%
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((20, 20, 3)),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
model.fit(train_images, train_labels, batch_size=64, epochs=8, verbose=2)
model.evaluate(test_images, test_labels, verbose=0, return_dict=True)

# %% [markdown]
# ## How robust is it?
#
# `quick` is a suite of fast attacks, here in the L-inf norm alone. `epsilons` gives the size of the perturbation that
# an attacker may make: every value of an image may change by 0.03. The result prints as a table, with a 95 % interval
# for each accuracy. Accuracies under attack are upper bounds, because a stronger attack may find more.

# %%
result = cz.evaluate(model, test_images, test_labels, suite="quick", epsilons={"linf": 0.03}, norms=["linf"])
print(result)

# %%
print(f"Accuracy against any attack within 0.03: {result.robust_accuracy('linf'):.1%}")
result.figure("linf")

# %% [markdown]
# ## An adversarial image
#
# `cz.attack` runs a single attack and returns arrays. We show the first image that it broke.

# %%
found = cz.attack(model, test_images, test_labels, norm="linf", epsilon=0.03)
correct = model.predict(test_images, verbose=0).argmax(axis=1) == test_labels
first = int(np.flatnonzero(found.success & correct)[0])

figure, (left, right) = plt.subplots(1, 2)
left.imshow(test_images[first])
left.set_title(CLASSES[test_labels[first]])
right.imshow(found.images[first])
right.set_title(f"{CLASSES[found.predictions[first]]}, distance {found.distances[first]:.3f}")
plt.show()

# %% [markdown]
# ## A gate
#
# In CI the same evaluation runs as a command. With `--fail_under` it exits with code 1 if the lower end of the
# interval of the robust accuracy is below the limit, so the build fails. This model does not pass.

# %%
folder = Path("runs/own_data")
folder.mkdir(parents=True, exist_ok=True)
model.save(folder / "shapes.keras")
np.savez(folder / "shapes.npz", images=test_images, labels=test_labels)
command = [
    *(sys.executable, "-m", "cortexzoo", "evaluate"),
    f"--model={folder / 'shapes.keras'}",
    f"--data={folder / 'shapes.npz'}",
    "--suite=quick",
    "--epsilon=linf:0.03",
    "--norm=linf",
    "--fail_under=linf:0.8",
    f"--store={folder / 'results.sqlite'}",
]
gate = subprocess.run(command, capture_output=True, text=True, check=False)
print(gate.stderr.splitlines()[-1])
print(f"Exit code: {gate.returncode}")
