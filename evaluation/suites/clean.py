"""Clean accuracy without attacks."""

from cortexzoo.evaluation.suites.attack_suite import AttackSuite

CLEAN = AttackSuite("clean", "clean accuracy on the whole test split, no attack", 0, lambda info: ())
SUITES = (CLEAN,)
