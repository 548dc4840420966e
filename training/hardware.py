"""The hardware of a training, in words."""

import os
import platform
from pathlib import Path

import keras


def describe_hardware() -> str:
    """Returns the number of processor cores and of accelerators that Keras sees, such as "16 CPU cores (x86_64), 1 GPU"."""
    accelerators = [device.split(":")[0].upper() for device in keras.distribution.list_devices() if "cpu" not in device]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return f"{cores}, {len(accelerators)} {accelerators[0]}" if accelerators else cores


def first_hardware(directory: Path) -> str:
    """Returns the hardware on which the training in `directory` began, and notes it there if it begins now.

    A model may be published on another machine than the one that trained it.
    """
    path = directory / "hardware.txt"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(describe_hardware(), encoding="utf-8")
    return path.read_text(encoding="utf-8")
