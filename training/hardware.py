"""What a training ran on, in words."""

import os
import platform
from pathlib import Path

import keras


def describe_hardware() -> str:
    """Returns the processor cores and the accelerators that Keras sees."""
    accelerators = [device.split(":")[0].upper() for device in keras.distribution.list_devices() if "cpu" not in device]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return f"{cores}, {len(accelerators)} {accelerators[0]}" if accelerators else cores


def first_hardware(directory: Path) -> str:
    """Returns on what the training in `directory` was begun, and notes it there if it begins now.

    The machine that publishes a model may be another one than that which trained it.
    """
    path = directory / "hardware.txt"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(describe_hardware(), encoding="utf-8")
    return path.read_text(encoding="utf-8")
