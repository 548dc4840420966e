"""The Boundary attack, which sees decisions alone, beside one that follows gradients."""

from cortexzoo.evaluation.attacks import BoundaryAttack, DecoupledDirectionNorm, NearestStart
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite

_MEMBERS = (Member(NearestStart(inner=BoundaryAttack()), "Boundary L2"), Member(DecoupledDirectionNorm(), "DDN L2"))
BOUNDARY = AttackSuite(
    "boundary",
    "the Boundary attack to its convergence, 25,000 steps at most, and DDN, which has gradients, to hold it against",
    200,
    lambda info: _MEMBERS,
)
SUITES = (BOUNDARY,)
