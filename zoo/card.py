"""The model card: what a model is, how it was trained and what it scored, as JSON with a checked schema."""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

from cortexzoo.files import write_text
from cortexzoo.norms import NORMS

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Everything that is known of one catalogued model.

    Attributes:
        id: "<dataset>/<name>".
        title: one line for people.
        description: one paragraph for people.
        class_name: name of the class in `cortexzoo.models`.
        config: its `get_config()`, plain JSON values.
        dataset: name in `cortexzoo.datasets`.
        parameters: number of weights, trainable or not.
        paper: title, authors, year and url.
        from_paper: what follows the paper.
        our_choice: what the paper leaves open or we changed.
        recipe: name and config of the training recipe, with its base model where it has one, and the command that runs it.
        seed: seed of the training.
        versions: package versions of the training.
        training: seconds of all epochs, hardware, epochs and the validation values that chose them; further facts of some
            recipes, such as the layer weights of a similarity regulariser.
        licence: licence of the weights.
        files: SHA-256 of every file of the artefact, by path relative to the model's directory.
        family: kind of network, such as "sigmoid_mlp", "relu_cnn", "resnet" or "dim"; "" where it is not known.
        variant: what sets it apart from the plain network of its family, such as "saturating", "pgd" or "pixel"; "" for the
            plain network.
        variant_of: id of that plain network; "" for the plain network itself.
        group: id that all seeds of one model share, such as "mnist/resnet" on the card of "mnist/resnet-seed1"; "" stands
            for the model's own id.
        clean: clean accuracy on the test split: correct, samples, accuracy, interval (95 % Wilson).
        robustness: by norm: accuracy, interval, samples and epsilon of the worst case over the suite `strong` and everything
            else that was run; `votes`, how many images each attack broke that none before it did; `decided_by`, the last of
            them; `common`, the same on the images that all suites saw.
        robust: by suite: samples, seed and accuracies at the thresholds, with intervals and settings.
        diagnosis: `verdict`, whether the gradients can be trusted, in words; `causes`, the names of what hides them; and the
            `checks` behind it.
        diagnostics: by suite: signs of gradient masking.
        shifts: by suite: seed, and by shift accuracies at its levels and the area under them, with intervals and settings.
        schema_version: int. Version of this schema.
    """

    id: str
    title: str
    description: str
    class_name: str
    config: dict[str, Any]
    dataset: str
    parameters: int
    paper: dict[str, Any]
    from_paper: list[str]
    our_choice: list[str]
    recipe: dict[str, Any]
    seed: int
    versions: dict[str, str]
    training: dict[str, Any]
    licence: str
    files: dict[str, str]
    family: str = ""
    variant: str = ""
    variant_of: str = ""
    group: str = ""
    clean: dict[str, Any] = dataclasses.field(default_factory=dict)
    robustness: dict[str, Any] = dataclasses.field(default_factory=dict)
    robust: dict[str, Any] = dataclasses.field(default_factory=dict)
    diagnosis: dict[str, Any] = dataclasses.field(default_factory=dict)
    diagnostics: dict[str, Any] = dataclasses.field(default_factory=dict)
    shifts: dict[str, Any] = dataclasses.field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def clean_accuracy(self) -> float | None:
        """Accuracy on the clean test split, in [0, 1]; None where it has not been evaluated."""
        return self.clean.get("accuracy")

    @property
    def version(self) -> int:
        """The served version: the integer folder that holds the SavedModel."""
        return max(int(path.split("/", 1)[0]) for path in self.files)

    def worst_case(self, norm: str) -> dict[str, Any] | None:
        """Returns the model's one number in a norm: what is left in the worst case over everything that was run on it.

        Args:
            norm: "linf", "l2", "l1" or "l0".

        Returns:
            An entry of `robustness`; None where the attacks of the suite `strong` were not all run in the norm.
        """
        return self.robustness.get(norm)

    def robust_accuracy(self, norm: str, suite: str | None = None) -> float | None:
        """Accuracy at the norm's threshold, in [0, 1]; None where it was not evaluated.

        Args:
            norm: "linf", "l2", "l1" or "l0".
            suite: only under the attacks of this suite. Defaults to `worst_case`.
        """
        worst = self.worst_case(norm) if suite is None else self.robust.get(suite, {}).get("unions", {}).get(norm)
        return None if worst is None else worst["accuracy"]

    @property
    def minimal_accuracy(self) -> float | None:
        """The lowest robust accuracy over the four norms, in [0, 1]; None where one of them was not evaluated."""
        found = [accuracy for norm in NORMS if (accuracy := self.robust_accuracy(norm)) is not None]
        return min(found) if len(found) == len(NORMS) else None


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Reads and checks a card.json.

    Raises:
        ValueError: the file cannot be read or is not JSON; a field is missing, unknown or of the wrong type.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"Expected a JSON model card in {path}. Received a file that cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Expected a JSON model card in {path}. Received a file that does not parse: {error}") from error
    _check_schema(values, path)
    _check_contents(values, path)
    return ModelCard(**values)


def write_card(card: ModelCard, path: str | os.PathLike[str]) -> None:
    """Writes the card as JSON, atomically."""
    write_text(path, json.dumps(dataclasses.asdict(card), indent=2, ensure_ascii=False) + "\n")


_JSON_TYPES = {"str": str, "int": int, "dict": dict, "list": list}
_VERSIONED = re.compile(r"\d+/.+")


def _check_schema(values: Any, path: Path) -> None:
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        found = values.get("schema_version") if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"Expected a model card with schema_version {SCHEMA_VERSION} in {path}. Received: {found!r}")
    fields = {field.name: field for field in dataclasses.fields(ModelCard)}
    required = {name for name, field in fields.items() if field.default is field.default_factory is dataclasses.MISSING}
    if missing := sorted(required - values.keys()):
        raise ValueError(f"The model card {path} misses the fields {', '.join(missing)}.")
    if unknown := sorted(values.keys() - fields.keys()):
        raise ValueError(f"The model card {path} has unknown fields: {', '.join(unknown)}.")
    for name, value in values.items():
        expected = _JSON_TYPES[str(getattr(fields[name].type, "__name__", fields[name].type)).split("[")[0]]
        if not isinstance(value, expected):
            raise ValueError(
                f"Expected `{name}` of the model card {path} to be of type {expected.__name__}. Received: {value!r}"
            )


_PAPER = {"title": str, "authors": str, "year": int, "url": str}


def _check_contents(values: dict[str, Any], path: Path) -> None:
    """Checks what lists and comparisons of models read inside the fields."""
    for name, expected in _PAPER.items():
        _check(isinstance(values["paper"].get(name), expected), f"paper.{name}", expected.__name__, values["paper"], path)
    for name in values["files"]:
        _check(_VERSIONED.fullmatch(name) is not None, "files", "paths that begin with a version, as in 1/a", name, path)
    clean = values.get("clean") or {"accuracy": 0.0}
    _check(_is_share(clean.get("accuracy")), "clean.accuracy", "a number in [0, 1]", clean, path)
    for norm, worst in values.get("robustness", {}).items():
        _check(norm in NORMS, "robustness", f"a dict of the norms {', '.join(NORMS)}", norm, path)
        _check_worst_case(worst, f"robustness.{norm}", path)
    diagnosis = values.get("diagnosis") or {"verdict": "", "checks": []}
    _check(isinstance(diagnosis.get("verdict"), str), "diagnosis.verdict", "a sentence", diagnosis, path)
    _check(isinstance(diagnosis.get("checks"), list), "diagnosis.checks", "a list", diagnosis, path)
    for suite, result in values.get("robust", {}).items():
        unions: Any = result.get("unions", {}) if isinstance(result, dict) else None
        _check(isinstance(unions, dict), f"robust.{suite}", "a dict with a dict `unions`", result, path)
        for norm, union in unions.items():
            accuracy = union.get("accuracy") if isinstance(union, dict) else None
            _check(_is_share(accuracy), f"robust.{suite}.unions.{norm}.accuracy", "a number in [0, 1]", union, path)


_WORST_CASE: dict[str, type | tuple[type, ...]] = {"epsilon": (int, float), "samples": int, "decided_by": str, "votes": dict}


def _check_worst_case(worst: Any, field: str, path: Path) -> None:
    _check(isinstance(worst, dict), field, "a dict", worst, path)
    _check(_is_share(worst.get("accuracy")), f"{field}.accuracy", "a number in [0, 1]", worst, path)
    bounds = worst.get("interval")
    interval = isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_share, bounds))
    _check(interval, f"{field}.interval", "two numbers in [0, 1]", worst, path)
    for name, kind in _WORST_CASE.items():
        _check(isinstance(worst.get(name), kind), f"{field}.{name}", str(kind), worst, path)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _check(passes: bool, field: str, expected: str, received: Any, path: Path) -> None:
    if not passes:
        raise ValueError(f"Expected `{field}` of the model card {path} to be {expected}. Received: {received!r}")
