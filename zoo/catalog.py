"""The catalogue: which pretrained models there are, where they lie, and whether their files are what they should be."""

import dataclasses
import difflib
import hashlib
import os
from pathlib import Path

from cortexzoo.card import ModelCard, read_card, write_card
from cortexzoo.card_page import render_card
from cortexzoo.files import write_text

_VARIABLE = "CORTEXZOO_SAVED_MODELS"


class IntegrityError(RuntimeError):
    """A file of a catalogued model is missing or differs from the digest on its card."""


def root() -> Path:
    """Returns the catalogue's directory: $CORTEXZOO_SAVED_MODELS, else the installed one, else the checkout's."""
    if configured := os.environ.get(_VARIABLE):
        return Path(configured)
    package = Path(__file__).resolve().parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def model_directory(model_id: str) -> Path:
    """Returns the directory of a catalogued model, which is also its TF Serving base path.

    Raises:
        ValueError: there is no such model; the message lists close matches.
    """
    known = _ids()
    if model_id in known:
        return root() / model_id
    # Names alone are compared too, so that "dim" finds "mnist/dim".
    names = {name: name for name in known} | {name.split("/")[1]: name for name in known}
    close = list(dict.fromkeys(names[match] for match in difflib.get_close_matches(model_id, names, n=6, cutoff=0.5)))
    hint = f"Close matches: {', '.join(close)}." if close else f"Known: {', '.join(known) or 'none'}."
    raise ValueError(f"`model_id` must name a model of the catalogue in {root()}. Received: {model_id!r}. {hint}")


def model_card(model_id: str) -> ModelCard:
    """Returns the card of a catalogued model.

    Raises:
        ValueError: there is no such model, or its card is malformed or another model's.
    """
    path = model_directory(model_id) / "card.json"
    card = read_card(path)
    if card.id != model_id:
        raise ValueError(f"Expected the card of {model_id} in {path}. Received: that of {card.id}.")
    return card


def list_models(dataset: str | None = None, class_name: str | None = None) -> list[ModelCard]:
    """Returns the cards of the catalogue, sorted by id.

    Args:
        dataset: only models of this data set.
        class_name: only models of this class.
    """
    cards = [model_card(model_id) for model_id in _ids()]
    return [
        card
        for card in cards
        if (dataset is None or card.dataset == dataset) and (class_name is None or card.class_name == class_name)
    ]


def verified_saved_model(model_id: str) -> Path:
    """Returns the path of the model's SavedModel after checking the digest of each of its files.

    Raises:
        ValueError: there is no such model.
        IntegrityError: a file is missing, changed, truncated or not on the card.
    """
    return model_directory(model_id) / str(verify(model_id).version)


def verify(model_id: str) -> ModelCard:
    """Checks every file of the model against the SHA-256 on its card, and returns the card.

    Raises:
        ValueError: there is no such model.
        IntegrityError: naming each file that is missing, differs or is not on the card, with both digests.
    """
    card, directory = model_card(model_id), model_directory(model_id)
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
        raise IntegrityError(f"The files of {model_id} are not those of its card.\n" + "\n".join(problems) + f"\n{advice}")
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


def save_card(card: ModelCard) -> None:
    """Writes the card and the README made from it into the catalogue."""
    directory = root() / card.id
    write_card(card, directory / "card.json")
    write_text(directory / "README.md", render_card(card))


def update_card(model_id: str, **changes: object) -> ModelCard:
    """Replaces fields of a catalogued model's card and of its README; returns the new card."""
    card = dataclasses.replace(model_card(model_id), **changes)
    save_card(card)
    return card


def _ids() -> list[str]:
    return sorted(path.parent.relative_to(root()).as_posix() for path in root().glob("*/*/card.json"))
