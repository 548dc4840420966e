"""A sweep's table: a CSV file with a row for each weight of the penalty."""

import csv
import dataclasses
from pathlib import Path

from cortexzoo.files import csv_text, write_text


@dataclasses.dataclass(frozen=True)
class Point:
    """One training of a sweep.

    Attributes:
        strength: weight of the saturation penalty in the hold.
        accuracy: of the chosen epoch on the validation split, in [0, 1].
        mean_saturation: psi_c, mean over the hidden units and the validation images.
        saturated_share: share of hidden units and validation images with psi_c close to 0, in [0, 1].
        epochs: length of the training.
        seed: of the training.
        settings: digest of the config without the strength.
    """

    strength: float
    accuracy: float
    mean_saturation: float
    saturated_share: float
    epochs: int
    seed: int
    settings: str


def table_path(directory: Path, recipe_id: str) -> Path:
    """Returns the path of a recipe's table in `directory`."""
    return directory / f"sweep_{recipe_id.replace('/', '-')}.csv"


def read_points(path: Path) -> list[Point]:
    """Returns the rows of a table; none where there is no file."""
    if not path.exists():
        return []
    types = {field.name: field.type for field in dataclasses.fields(Point)}
    with path.open(newline="", encoding="utf-8") as file:
        return [Point(**{name: types[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def write_points(points: list[Point], path: Path) -> None:
    """Writes a table, sorted by strength, which a reader never sees half written."""
    rows = [dataclasses.asdict(point) for point in sorted(points, key=lambda point: point.strength)]
    write_text(path, csv_text([field.name for field in dataclasses.fields(Point)], rows))


def largest_within(path: Path, points: float = 0.01) -> float | None:
    """Returns the largest strength whose validation accuracy is at most `points` below that of strength 0.

    It is None where the table has no row for strength 0.

    Args:
        path: a table that `sweep` wrote.
        points: float. The loss that is accepted, as a share: 0.01 is one percentage point.
    """
    rows = read_points(path)
    plain = [row.accuracy for row in rows if row.strength == 0.0]
    # Keras' accuracies are float32; the slack, far less than one image, is for their rounding.
    return max((row.strength for row in rows if row.accuracy >= plain[0] - points - 1e-6), default=None) if plain else None
