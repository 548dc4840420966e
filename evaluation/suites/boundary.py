"""The decision-based Boundary attack, and a gradient-based one for comparison."""

from cortexzoo.evaluation.attacks import BoundaryAttack, DecoupledDirectionNorm, NearestStart
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite

_MEMBERS = (Member(NearestStart(inner=BoundaryAttack()), "Boundary L2"), Member(DecoupledDirectionNorm(), "DDN L2"))
BOUNDARY = AttackSuite(
    "boundary",
    "the Boundary attack until it converges (at most 25,000 steps), and gradient-based DDN for comparison",
    200,
    lambda info: _MEMBERS,
)
SUITES = (BOUNDARY,)
