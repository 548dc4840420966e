"""Table 1 of Liu et al. (2022): accuracy in per cent on MNIST, and median distances of the unions.

Thresholds: Linf 0.3, L2 1.5, L1 8, L0 12. The table gives neither medians nor clean accuracies for the ablations.
"""

MODELS = ("cnn", "bicnn", "madry", "biabs", "abs", "bidim", "dim", "single_im", "im", "dn_single_im")

# Accuracies in the order of `MODELS`, by the attack's label in our tables.
ACCURACY: dict[str, tuple[float | None, ...]] = {
    "clean": (99, 99, 99, 99, 99, 96, 96, None, None, None),
    "DDN L2": (15, 71, 94, 85, 84, 92, 93, 83, 91, 87),
    "PGD L2": (30, 76, 96, 86, 88, 93, 94, 89, 95, 89),
    "BIM L2": (17, 67, 95, 83, 83, 93, 94, 88, 94, 90),
    "FGM L2": (55, 92, 97, 94, 86, 94, 95, 89, 95, 90),
    "DeepFool L2": (21, 21, 95, 49, 83, 75, 89, 71, 83, 82),
    "C&W L2": (13, 10, 83, 45, 84, 51, 74, 54, 66, 68),
    "Brendel-Bethge L2": (12, 8, 50, 48, 93, 57, 71, 61, 58, 70),
    "Boundary L2": (19, 62, 54, 93, 90, 80, 80, 65, 67, 75),
    "all L2": (9, 7, 41, 41, 83, 45, 66, 52, 51, 65),
    "PGD L∞": (0, 73, 95, 88, 11, 89, 85, 49, 70, 72),
    "BIM L∞": (0, 70, 96, 83, 8, 89, 82, 54, 61, 72),
    "FGM L∞": (7, 78, 96, 86, 38, 90, 89, 64, 78, 79),
    "DeepFool L∞": (0, 83, 95, 86, 7, 91, 78, 44, 61, 66),
    "Brendel-Bethge L∞": (2, 81, 94, 89, 11, 88, 9, 2, 1, 6),
    "all L∞": (0, 69, 93, 82, 3, 78, 8, 2, 0, 6),
    "Pointwise x 10 L0": (25, 43, 2, 82, 76, 53, 59, 54, 50, 58),
    "all L0": (25, 43, 2, 82, 76, 53, 59, 54, 50, 58),
    "Brendel-Bethge L1": (11, 4, 16, 47, 89, 65, 65, 61, 57, 65),
    "all L1": (11, 4, 16, 47, 89, 65, 65, 61, 57, 65),
    "minimal": (0, 4, 2, 41, 3, 45, 8, None, None, None),
}

MEDIAN: dict[str, tuple[float | None, ...]] = {
    "all L2": (1.1, 0.9, 1.4, 1.3, 2.2, 1.4, 1.9, None, None, None),
    "all L∞": (0.08, 0.36, 0.34, 0.42, 0.22, 0.49, 0.2, None, None, None),
    "all L0": (8, 11, 4, 26, 19, 13, 14, None, None, None),
    "all L1": (5, 3, 4, 8, 19, 13, 11, None, None, None),
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
