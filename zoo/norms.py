"""The four norms in which perturbations are measured, and their names for people."""

NORM_NAMES = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}
NORMS = tuple(NORM_NAMES)
