"""The models to evaluate: from the catalogue by id, from the store by name, and SavedModels by path."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

from cortexzoo import catalog
from cortexzoo.evaluation.classifier import newest_version, saved_model_digest
from cortexzoo.evaluation.results.store import Store

_VARIANTS = ("saturating", "fgsm", "pgd")


@dataclasses.dataclass(frozen=True)
class Model:
    """One model to evaluate.

    Attributes:
        name: the name in tables; a catalogued model's id.
        path: the SavedModel directory; None if there are only stored results.
        dataset: name of the data set that it is for; "" if unknown.
        model_id: id in the catalogue; None for other models.
        kept_digest: its identity in the store, if that is not computed from the files.
        group: the name in tables for all seeds of the model.
        family, variant: see `cortexzoo.card.ModelCard`.
        folder: owner of a temporary SavedModel, which is removed with the last model that refers to it; None otherwise.
    """

    name: str
    path: Path | None
    dataset: str = ""
    model_id: str | None = None
    kept_digest: str | None = None
    group: str = ""
    family: str = ""
    variant: str = ""
    folder: Any = dataclasses.field(default=None, repr=False, compare=False)

    @functools.cached_property
    def digest(self) -> str:
        """The model's identity in the store: SHA-256 over the SavedModel's files."""
        return self.kept_digest or saved_model_digest(self.path)

    @property
    def seed_label(self) -> str:
        """The part of the name that distinguishes the seed within its group; empty for a group of one."""
        return self.name.removeprefix(self.group)

    def saved_model(self) -> Path:
        """Returns the SavedModel directory.

        Raises:
            ValueError: there are only stored results of the model.
        """
        if self.path is None:
            raise ValueError(f"Expected a model to evaluate. Received: {self.name}, which has only stored results.")
        return self.path


def catalogued(model_ids: list[str]) -> list[Model]:
    """Returns the models with these ids in the catalogue ("all" for every one), after verifying their files.

    Raises:
        ValueError: an id is unknown.
        IntegrityError: a file differs from its card.
    """
    ids = [card.id for card in catalog.list_models()] if "all" in model_ids else dict.fromkeys(model_ids)
    return [_from_card(model_id) for model_id in ids]


def _from_card(model_id: str) -> Model:
    path, card = catalog.verified_saved_model(model_id), catalog.model_card(model_id)
    known = {"group": card.group or card.id, "family": card.family, "variant": card.variant}
    return Model(card.id, path, card.dataset, model_id, **known)


def remembered(names: list[str], store: Store) -> list[Model]:
    """Returns the models with these ids for a report, from the catalogue or, if they are not in it, from the store.

    Args:
        names: ids, or "all" for the whole catalogue.
        store: the results; it may have, for example, more seeds of a model than the catalogue.

    Raises:
        ValueError: an id is in neither, or the store has several models with that name.
        IntegrityError: a file differs from its card.
    """
    known = {"all", *catalog.model_ids()}
    found = [catalogued([name]) if name in known else [_from_store(name, store)] for name in names]
    return list({model.name: model for models in found for model in models}.values())


def _from_store(name: str, store: Store) -> Model:
    digests = [digest for digest, kept in store.models().items() if kept == name]
    if len(digests) != 1:
        raise ValueError(
            f"Expected one model named {name} in the catalogue or in {store.path}. Received: none in the catalogue, "
            f"{len(digests)} in the store."
        )
    (dataset, *_) = [*store.datasets(digests[0]), ""]
    return Model(name, None, dataset, kept_digest=digests[0], **_by_convention(name))


def _by_convention(name: str) -> dict[str, str]:
    """Group, family and variant of a model without a card, from its name: X-seed1 is a seed of X, fgsm_X a variant of X."""
    group = re.sub(r"-seed\d+$", "", name)
    family = group.rsplit("/", 1)[-1]
    variant, _, rest = family.partition("_")
    if variant in _VARIANTS and rest:
        return {"group": group, "family": rest, "variant": variant}
    return {"group": group, "family": family}


def from_path(path: Path) -> Model:
    """Returns the SavedModel at a path, named after its folder.

    Raises:
        ClassifierError: there is no SavedModel.
    """
    saved_model = newest_version(path)
    *_, parent, name = saved_model.resolve().parts
    # my_model/1 is a version of my_model.
    name = parent if name.isdecimal() else name
    return Model(name, saved_model, kept_digest=saved_model_digest(saved_model), group=name)


def plain_twin(model: Model) -> tuple[str, ...]:
    """Returns the id of a catalogued model's plain twin, a network that differs only in its training; empty if none."""
    if model.model_id is None:
        return ()
    twin = catalog.model_card(model.model_id).recipe.get("config", {}).get("twin")
    return (twin,) if twin else ()
