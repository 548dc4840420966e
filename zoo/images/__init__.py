"""Labelled images from wherever people have them, as one kind of object.

>>> from cortexzoo.images import open_images
>>> source = open_images(images, labels)                    # arrays, of any height, width and number of channels
>>> source = open_images("photos/", image_shape=(96, 96, 3))  # a folder of class folders
>>> source = open_images("emnist/letters:test[:500]")       # TensorFlow Datasets
>>> source.info.name, source.load("test").images.shape
('emnist-letters@3f2a9c0d1b7e', (500, 28, 28, 1))
"""

from cortexzoo.images.opening import open_images
from cortexzoo.images.source import ImageSource

__all__ = ["ImageSource", "open_images"]
