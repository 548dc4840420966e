"""Table 1 of Liu et al. (2022): accuracy in per cent on MNIST, and median distances of the unions.

Thresholds: Linf 0.3, L2 1.5, L1 8, L0 12. The table gives neither medians nor clean accuracies for the ablations. Models
that are not in the catalogue are left out.
"""

MODELS = ("cnn", "bicnn", "bidim", "dim", "single_im", "im", "dn_single_im")

# Accuracies in the order of `MODELS`, by the attack's label in our tables.
ACCURACY: dict[str, tuple[float | None, ...]] = {
    "clean": (99, 99, 96, 96, None, None, None),
    "DDN L2": (15, 71, 92, 93, 83, 91, 87),
    "PGD L2": (30, 76, 93, 94, 89, 95, 89),
    "BIM L2": (17, 67, 93, 94, 88, 94, 90),
    "FGM L2": (55, 92, 94, 95, 89, 95, 90),
    "DeepFool L2": (21, 21, 75, 89, 71, 83, 82),
    "C&W L2": (13, 10, 51, 74, 54, 66, 68),
    "Brendel-Bethge L2": (12, 8, 57, 71, 61, 58, 70),
    "Boundary L2": (19, 62, 80, 80, 65, 67, 75),
    "all L2": (9, 7, 45, 66, 52, 51, 65),
    "PGD L∞": (0, 73, 89, 85, 49, 70, 72),
    "BIM L∞": (0, 70, 89, 82, 54, 61, 72),
    "FGM L∞": (7, 78, 90, 89, 64, 78, 79),
    "DeepFool L∞": (0, 83, 91, 78, 44, 61, 66),
    "Brendel-Bethge L∞": (2, 81, 88, 9, 2, 1, 6),
    "all L∞": (0, 69, 78, 8, 2, 0, 6),
    "Pointwise x 10 L0": (25, 43, 53, 59, 54, 50, 58),
    "all L0": (25, 43, 53, 59, 54, 50, 58),
    "Brendel-Bethge L1": (11, 4, 65, 65, 61, 57, 65),
    "all L1": (11, 4, 65, 65, 61, 57, 65),
    "minimal": (0, 4, 45, 8, None, None, None),
}

MEDIAN: dict[str, tuple[float | None, ...]] = {
    "all L2": (1.1, 0.9, 1.4, 1.9, None, None, None),
    "all L∞": (0.08, 0.36, 0.49, 0.2, None, None, None),
    "all L0": (8, 11, 13, 14, None, None, None),
    "all L1": (5, 3, 13, 11, None, None, None),
}


def accuracy(model: str, label: str) -> float | None:
    """Returns the paper's accuracy in per cent; None if it gives none.

    Args:
        model: id in the catalogue, such as "mnist/dim".
        label: the row's label, such as "PGD L2" or "all L2".
    """
    return _find(ACCURACY, model, label)


def median(model: str, label: str) -> float | None:
    """Returns the paper's median distance; None if it gives none."""
    return _find(MEDIAN, model, label)


def _find(values: dict[str, tuple[float | None, ...]], model: str, label: str) -> float | None:
    name = model.removeprefix("mnist/")
    return values[label][MODELS.index(name)] if label in values and name in MODELS else None
