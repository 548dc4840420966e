"""Latent spaces of models with one autoencoder per class.

  cortexzoo analyze latents --model=mnist/dim

The figure is Figure 3 of Liu et al. (2022): the latents of the test images in
each autoencoder, embedded by t-SNE and coloured by class. The silhouette and the
purity of the nearest neighbours measure how well an autoencoder separates its own
class from the rest. They are computed in the latent space, as t-SNE preserves only
neighbourhoods. Needs scikit-learn: pip install "cortexzoo[analysis]".
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.analysis.tools.output import new_figure, stem, write_table
from cortexzoo.figures import save_figure

FIELDS = ("autoencoder", "silhouette", "purity")
_NEIGHBOURS = 10
_FEWEST = 50
_COLUMNS = 5


def analyse(model: str, samples: int, directory: Path, data: str | None = None) -> list[Path]:
    """Writes latents-DATA-NAME.png and .csv.

    Args:
        model: id in the catalogue, or path of a SavedModel or a Keras file.
        samples: number of first test images.
        directory: where the files go; created if missing.
        data: data set; defaults to the model's own.

    Returns:
        The files.

    Raises:
        ValueError: the model has no latents, see `latents_of`; there are too few images; or scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ValueError(
            'Expected scikit-learn. Received: it is not installed. Install it: `pip install "cortexzoo[analysis]"`.'
        )
    from rich.progress import track

    (network,), split = networks.load([model], samples, data)
    if len(split) < _FEWEST:
        raise ValueError(f"Expected at least {_FEWEST} images for t-SNE. Received: {len(split)}. Pass more --samples.")
    latents = latents_of(network.classifier.path, split.images)
    info, name = network.classifier.dataset, network.name
    rows, pictures = [], []
    for own in track(range(latents.shape[1]), "t-SNE"):
        rows.append((info.class_names[own], *separation(latents[:, own], split.labels == own)))
        pictures.append(project(latents[:, own]))
    path = directory / f"{stem('latents', info.name, [name])}.csv"
    figure = _draw(pictures, rows, split.labels, info.class_names, f"{name}, first {len(split):,} test images")
    return [save_figure(figure, path.with_suffix(".png")), write_table(path, FIELDS, rows)]


def latents_of(saved_model: os.PathLike[str], images: np.ndarray) -> np.ndarray:
    """Returns the latents in every autoencoder, (n, classes, size).

    Raises:
        ValueError: the model has no `features` with `latents` of this shape.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved_model))
    parts = [images[i : i + 500] for i in range(0, len(images), 500)]
    features = [loaded.features(tf.constant(part)) for part in parts] if hasattr(loaded, "features") else [{}]
    latents = [part.get("latents") for part in features]
    if latents[0] is None or len(latents[0].shape) != 3:
        received = None if latents[0] is None else tuple(latents[0].shape)
        raise ValueError(
            f"Expected `features` with `latents` of shape (batch, classes, size) in {saved_model}. Received: {received}."
        )
    return np.concatenate([part.numpy() for part in latents])


def separation(latents: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """Returns how well a class is separated from the others.

    Args:
        latents: (n, size).
        own: which of them belong to the autoencoder's class, bool, (n,).

    Returns:
        The mean silhouette of this class against all others together, in [-1, 1], and its purity: the share of the ten
        nearest neighbours that belong to the same class, in [0, 1].
    """
    from sklearn.metrics import silhouette_samples
    from sklearn.neighbors import NearestNeighbors

    silhouette = float(silhouette_samples(latents, own)[own].mean())
    # A point's nearest neighbour is the point itself.
    near = NearestNeighbors(n_neighbors=_NEIGHBOURS + 1).fit(latents).kneighbors(latents[own], return_distance=False)[:, 1:]
    return silhouette, float(own[near].mean())


def project(latents: np.ndarray) -> np.ndarray:
    """Returns a t-SNE embedding, (n, 2); deterministic."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Two threads are a fifth faster on an idle machine, but mostly wait for each other on a busy one.
    with threadpool_limits(1, "openmp"):
        return TSNE(random_state=0, init="pca", perplexity=30).fit_transform(latents)


def _draw(pictures: list[np.ndarray], rows: list[tuple], labels: np.ndarray, names: tuple[str, ...], title: str) -> Figure:
    from matplotlib import colormaps

    height = -(-len(pictures) // _COLUMNS)
    figure = new_figure(11.0, 2.4 * height + 0.6)
    colours = colormaps["tab10"](labels % 10)
    for i, (points, (name, silhouette, purity)) in enumerate(zip(pictures, rows, strict=True)):
        axes = figure.add_subplot(height, _COLUMNS, i + 1)
        axes.scatter(points[:, 0], points[:, 1], s=2, c=colours, linewidths=0)
        axes.set_title(f"model of {name}: silhouette {silhouette:.2f}, purity {purity:.2f}", fontsize=7)
        axes.set_xticks([])
        axes.set_yticks([])
    handles = [axes.scatter([], [], s=20, color=colormaps["tab10"](i % 10), label=name) for i, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), fontsize=7, frameon=False)
    figure.suptitle(f"{title}: t-SNE of the latents of each class's autoencoder", fontsize=9)
    return figure
