"""Finds a data set of TFDS on this machine, or has it downloaded; says what to do where neither is possible."""

import difflib
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any

from cortexzoo.datasets.base import DatasetNotFoundError, DatasetUnavailableError

_EMBEDDED = Path(__file__).parents[1] / "data"
_CONNECT_SECONDS = 5


def builder(name: str, version: str | None = None) -> Any:
    """Returns a `tfds.core.DatasetBuilder` whose data is prepared.

    It is read from the package, else from `TFDS_DATA_DIR` (~/tensorflow_datasets where that is not set), else downloaded.

    Args:
        name: name in TFDS, "name" or "name/config".
        version: as in "3.0.1"; by default the newest.

    Raises:
        DatasetNotFoundError: TFDS knows no such data set.
        DatasetUnavailableError: the data set is not prepared, and cannot be downloaded.
    """
    # TensorFlow's C++ log of every file that it opens is no concern of the user's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds

    for root in (_EMBEDDED, data_directory()):
        if versions := _prepared_versions(root / name, version):
            return tfds.builder_from_directory(versions[-1])
    return _downloaded(f"{name}:{version}" if version else name)


def data_directory() -> Path:
    """Returns the folder in which TFDS keeps its data sets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _prepared_versions(folder: Path, version: str | None) -> list[Path]:
    """The prepared versions of a data set, oldest first."""
    found = [path.parent for path in folder.glob("*/dataset_info.json") if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)]
    found.sort(key=lambda path: [int(part) for part in path.name.split(".")])
    return [path for path in found if version in (None, path.name)]


def _downloaded(name: str) -> Any:
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import DownloadError, download_manager

    failures = (
        # The errors of `requests` are OSErrors; a data set to be downloaded by hand ends in an AssertionError.
        *(OSError, ImportError, AssertionError, tf.errors.OpError),
        *(DownloadError, download_manager.NonMatchingChecksumError),
    )
    try:
        found = tfds.builder(name, data_dir=data_directory())
        _check_connection(found)
        found.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        close = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False))
        hint = f" Did you mean: {', '.join(close)}?" if close else ""
        raise DatasetNotFoundError(f"Expected the name of a data set in TFDS. Received: {name!r}.{hint}") from None
    except failures as error:
        # TFDS' own traceback is long, and tells the user nothing more.
        raise DatasetUnavailableError(_advice(name, error)) from None
    return found


def _check_connection(found: Any) -> None:
    """Asks the first server once: TFDS itself would retry for minutes."""
    import requests

    for url in list(found.url_infos or ())[:1]:
        try:
            requests.head(url, timeout=_CONNECT_SECONDS)
        except requests.ConnectionError:
            raise ConnectionError(f"no connection to {urllib.parse.urlsplit(url).hostname}") from None
        except requests.RequestException:
            pass  # The server was there, and slow; or it is for TFDS to know how to ask it.


def _advice(name: str, error: BaseException) -> str:
    cause = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
    named = "" if os.environ.get("TFDS_DATA_DIR") else ", for TFDS_DATA_DIR is not set"
    folder, *version = name.split(":")
    return (
        f"Expected the data set {name!r} in {data_directory()}{named}, or a connection to download it. "
        f"Received: {type(error).__name__}, {cause}. Set TFDS_DATA_DIR to a folder that holds "
        f"{folder}/{''.join(version) or '<version>'}/dataset_info.json, or prepare one where there is a connection: "
        f"`python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}').download_and_prepare()\"`."
    )
