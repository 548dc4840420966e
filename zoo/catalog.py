"""The catalogue: which pretrained models there are, where they lie, and whether their files are what they should be."""

import dataclasses
import difflib
import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cortexzoo.card import ModelCard, read_card, write_card
from cortexzoo.card_page import render_card
from cortexzoo.datasets import DATASETS
from cortexzoo.files import write_text

VARIABLE = "CORTEXZOO_SAVED_MODELS"
StrPath = str | os.PathLike[str]
# An error names so many models; the catalogue may have hundreds.
_SHOWN = 8


class IntegrityError(RuntimeError):
    """A file of a catalogued model is missing or differs from the digest on its card."""


def root(catalogue: StrPath | None = None) -> Path:
    """Returns the catalogue's directory: the argument, else $CORTEXZOO_SAVED_MODELS, else the one that is installed."""
    if catalogue is not None:
        return Path(catalogue)
    if configured := os.environ.get(VARIABLE):
        return Path(configured)
    package = Path(__file__).resolve().parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def model_directory(model_id: StrPath, catalogue: StrPath | None = None) -> Path:
    """Returns the directory of a model, which is also its TF Serving base path.

    Args:
        model_id: "<dataset>/<name>", or the path of an entry of any catalogue, such as "runs/catalogue/mnist/mine".
        catalogue: directory of the catalogue. Defaults to `root()`.

    Raises:
        ValueError: there is no such model; the message lists close matches.
    """
    model_id, known = os.fspath(model_id), model_ids(catalogue)
    if model_id in known:
        return root(catalogue) / model_id
    if model_id and os.path.isfile(os.path.join(model_id, "card.json")):
        return Path(model_id)
    # "dim" finds "mnist/dim".
    names = {name: name for name in known} | {name.split("/")[1]: name for name in known}
    close = list(dict.fromkeys(names[match] for match in difflib.get_close_matches(model_id, names, n=6, cutoff=0.5)))
    some = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    hint = f"Close matches: {', '.join(close)}." if close else f"Known: {some or 'none'}."
    raise ValueError(f"`model_id` must name a model of the catalogue in {root(catalogue)}. Received: {model_id!r}. {hint}")


def model_ids(catalogue: StrPath | None = None) -> list[str]:
    """Returns the ids of the catalogue, sorted; a directory that does not exist has none."""
    directory = root(catalogue)
    return sorted(path.parent.relative_to(directory).as_posix() for path in directory.glob("*/*/card.json"))


def model_card(model_id: StrPath, catalogue: StrPath | None = None) -> ModelCard:
    """Returns the card of a model.

    Args:
        model_id: an id or a path, see `model_directory`.
        catalogue: directory of the catalogue. Defaults to `root()`.

    Raises:
        ValueError: there is no such model, or its card is malformed or belongs to another model.
    """
    directory = model_directory(model_id, catalogue)
    path, expected = directory / "card.json", "/".join(directory.resolve().parts[-2:])
    card = read_card(path)
    if card.id != expected:
        raise ValueError(f"Expected the card of {expected} in {path}. Received: that of {card.id}.")
    return card


def card_page(model_id: StrPath, catalogue: StrPath | None = None) -> str:
    """Returns the card of a model as Markdown; see `model_card` for the arguments and errors."""
    return render_card(model_card(model_id, catalogue), address(model_directory(model_id, catalogue)))


def address(directory: StrPath) -> str:
    """Returns what commands call the model of a directory: its id in the default catalogue, in any other its path.

    A path is told from the working folder if it is below.
    """
    path = Path(directory).resolve()
    for folder in (root().resolve(), Path.cwd()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)


def list_models(
    dataset: str | None = None,
    class_name: str | None = None,
    *,
    sort_by: str = "id",
    catalogue: StrPath | None = None,
) -> list[ModelCard]:
    """Returns the cards of the catalogue.

    A card that cannot be read is left out, with a warning that says what is wrong with it.

    Args:
        dataset: only models of this data set.
        class_name: only models of this class.
        sort_by: "id"; "clean_accuracy", "robust_accuracy" (in L-infinity, see `ModelCard.robust_accuracy`) or
            "minimal_accuracy" (the least over the four norms), the highest first and models without one last; or
            "parameters", the smallest first.
        catalogue: directory of the catalogue. Defaults to `root()`.

    Raises:
        ValueError: no data set or no order has this name.
    """
    cards, problems = read_cards(catalogue)
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return select(cards, dataset, class_name, sort_by=sort_by)


def select(
    cards: list[ModelCard], dataset: str | None = None, class_name: str | None = None, *, sort_by: str = "id"
) -> list[ModelCard]:
    """Returns those of the cards that `list_models` returns, in its order.

    Raises:
        ValueError: no data set or no order has this name.
    """
    _check_order(sort_by)
    _check_dataset(dataset, cards)
    chosen = (
        card
        for card in cards
        if (dataset is None or card.dataset == dataset) and (class_name is None or card.class_name == class_name)
    )
    return sorted(chosen, key=_ORDERS[sort_by])


def read_cards(catalogue: StrPath | None = None) -> tuple[list[ModelCard], list[str]]:
    """Returns the cards of the catalogue by id, and for each one that cannot be read a sentence that says why."""
    cards, problems = [], []
    for model_id in model_ids(catalogue):
        try:
            cards.append(model_card(model_id, catalogue))
        except ValueError as error:
            problems.append(str(error))
    return cards, problems


def verified_saved_model(model_id: StrPath, catalogue: StrPath | None = None) -> Path:
    """Returns the path of the model's SavedModel after checking the digest of each of its files.

    Args:
        model_id: an id or a path, see `model_directory`.
        catalogue: directory of the catalogue. Defaults to `root()`.

    Raises:
        ValueError: there is no such model.
        IntegrityError: a file is missing, changed, truncated or not on the card.
    """
    return model_directory(model_id, catalogue) / str(verify(model_id, catalogue).version)


def verify(model_id: StrPath, catalogue: StrPath | None = None) -> ModelCard:
    """Checks every file of the model against the SHA-256 on its card, and returns the card.

    Args:
        model_id: an id or a path, see `model_directory`.
        catalogue: directory of the catalogue. Defaults to `root()`.

    Raises:
        ValueError: there is no such model.
        IntegrityError: naming each file that is missing, differs or is not on the card, with both digests.
    """
    card, directory = model_card(model_id, catalogue), model_directory(model_id, catalogue)
    found = artefact_digests(directory)
    problems = [
        f"{directory / name}\n  expected SHA-256 {card.files.get(name, 'none: not on the card')}\n"
        f"  received         {found.get(name, 'no such file')}"
        for name in sorted(card.files.keys() | found.keys())
        if card.files.get(name) != found.get(name)
    ]
    if not card.files:
        problems.append(f"{directory / 'card.json'} names no file.")
    if problems:
        advice = "Restore the file from the package or the repository; nothing of the model was loaded."
        raise IntegrityError(f"The files of {card.id} are not those of its card.\n" + "\n".join(problems) + f"\n{advice}")
    return card


def file_digest(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artefact_digests(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the SHA-256 of every file below `directory`/<version>/, by path relative to `directory`."""
    directory = Path(directory)
    versions = [path for path in directory.iterdir() if path.is_dir() and path.name.isdecimal()]
    files = sorted(path for version in versions for path in version.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): file_digest(path) for path in files}


def save_card(card: ModelCard, catalogue: StrPath | None = None) -> None:
    """Writes the card, and the README made from it, into the catalogue (by default `root()`)."""
    directory = root(catalogue) / card.id
    write_card(card, directory / "card.json")
    write_text(directory / "README.md", render_card(card, address(directory)))


def update_card(model_id: StrPath, *, catalogue: StrPath | None = None, **changes: Any) -> ModelCard:
    """Replaces fields of a model's card, writes its README anew, and returns the new card.

    Args:
        model_id: an id or a path, see `model_directory`.
        catalogue: directory of the catalogue. Defaults to `root()`.
        **changes: new values by field of `ModelCard`.

    Raises:
        ValueError: there is no such model.
        TypeError: the card has no such field.
    """
    card = dataclasses.replace(model_card(model_id, catalogue), **changes)
    save_card(card, model_directory(model_id, catalogue).resolve().parents[1])
    return card


def _highest_first(accuracy: float | None) -> tuple[bool, float]:
    return accuracy is None, -(accuracy or 0.0)


_ORDERS: dict[str, Callable[[ModelCard], Any]] = {
    "id": lambda card: card.id,
    "clean_accuracy": lambda card: (*_highest_first(card.clean_accuracy), card.id),
    "robust_accuracy": lambda card: (*_highest_first(card.robust_accuracy("linf")), card.id),
    "minimal_accuracy": lambda card: (*_highest_first(card.minimal_accuracy), card.id),
    "parameters": lambda card: (card.parameters, card.id),
}
ORDERS = tuple(_ORDERS)


def _check_order(sort_by: str) -> None:
    if sort_by not in ORDERS:
        raise ValueError(f"`sort_by` must be one of {', '.join(ORDERS)}. Received: {sort_by!r}.")


def _check_dataset(dataset: str | None, cards: list[ModelCard]) -> None:
    known = sorted({*DATASETS, *(card.dataset for card in cards)})
    if dataset is not None and dataset not in known:
        raise ValueError(f"`dataset` must be one of {', '.join(known)}. Received: {dataset!r}.")
