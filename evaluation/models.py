"""What is evaluated: models of the catalogue by id, anyone's SavedModels and Keras files by path, Keras models in memory."""

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
        name: for people; the id of a catalogued one.
        path: the SavedModel directory; None for one of which there are results alone.
        dataset: name of the data set that it is for; "" where that is not known.
        model_id: id in the catalogue; None for a model from elsewhere.
        kept_digest: that of the results, where it is not to be taken of the files.
        group: what tables call all seeds of one model together.
        family, variant: see `cortexzoo.card.ModelCard`.
        folder: what removes a temporary SavedModel together with the last model that has it; None for any other.
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
        """SHA-256 over the SavedModel's files, its identity in the store."""
        return self.kept_digest or saved_model_digest(self.path)

    @property
    def seed_label(self) -> str:
        """What parts it from the other seeds of its group; empty for a group of one."""
        return self.name.removeprefix(self.group)

    def saved_model(self) -> Path:
        """Returns the SavedModel directory.

        Raises:
            ValueError: there are results of the model alone.
        """
        if self.path is None:
            raise ValueError(f"Expected a model to evaluate. Received: {self.name}, of which there are results alone.")
        return self.path


def catalogued(model_ids: list[str]) -> list[Model]:
    """Returns the catalogued models of these ids ("all" for every one), their files verified.

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
    """Returns the models of these ids for a report: those of the catalogue, and those of which the store alone knows.

    Args:
        names: ids, or "all" for the catalogue.
        store: the results. More seeds of a model, say, are in it and not in the catalogue.

    Raises:
        ValueError: an id is known to neither, or the store has several models of that name.
        IntegrityError: a file differs from its card.
    """
    known = {"all", *catalog.model_ids()}
    found = [catalogued([name]) if name in known else [_from_store(name, store)] for name in names]
    return list({model.name: model for models in found for model in models}.values())


def _from_store(name: str, store: Store) -> Model:
    digests = [digest for digest, kept in store.models().items() if kept == name]
    if len(digests) != 1:
        raise ValueError(
            f"Expected one model {name} in the catalogue or in {store.path}. Received: none in the catalogue, "
            f"{len(digests)} in the store."
        )
    (dataset, *_) = [*store.datasets(digests[0]), ""]
    return Model(name, None, dataset, kept_digest=digests[0], **_by_convention(name))


def _by_convention(name: str) -> dict[str, str]:
    """What the name tells of a model without a card: X-seed1 is a seed of X, and fgsm_X was trained otherwise than X."""
    group = re.sub(r"-seed\d+$", "", name)
    family = group.rsplit("/", 1)[-1]
    variant, _, rest = family.partition("_")
    if variant in _VARIANTS and rest:
        return {"group": group, "family": rest, "variant": variant}
    return {"group": group, "family": family}


def from_path(path: Path) -> Model:
    """Returns anyone's SavedModel, named after its folder.

    Raises:
        ClassifierError: there is none.
    """
    saved_model = newest_version(path)
    *_, parent, name = saved_model.resolve().parts
    # my_model/1 is a version of my_model.
    name = parent if name.isdecimal() else name
    return Model(name, saved_model, kept_digest=saved_model_digest(saved_model), group=name)


def plain_twin(model: Model) -> tuple[str, ...]:
    """Returns the id of the plain network that a recipe trained beside a catalogued model, where it did."""
    if model.model_id is None:
        return ()
    twin = catalog.model_card(model.model_id).recipe.get("config", {}).get("twin")
    return (twin,) if twin else ()
