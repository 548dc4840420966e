"""Attack suites: the smallest distance of every image under each attack."""

import dataclasses
from collections.abc import Callable

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation import input_threshold, reconstructions
from cortexzoo.evaluation.attacks import Refined, Transfer
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.diagnosis import diagnose
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.results.keys import run_keys
from cortexzoo.evaluation.results.summary import Summary, summarize
from cortexzoo.evaluation.running.attacks import run_attacks
from cortexzoo.evaluation.suites.base import Suite


@dataclasses.dataclass(frozen=True)
class AttackSuite(Suite):
    """A named list of attacks.

    Attributes:
        build: returns the attacks for a data set, given its thresholds and number of classes; cheap and strong ones first.
        refined: whether adversarial images are refined for models with a surrogate endpoint, see `Refined`.
        gradients: whether to measure on how many attacked images gradients vanish, see `diagnostics.GRADIENTS`.
        sources: returns the ids of the models from which adversarial images are transferred to a model, whatever other
            sources are given; None for a suite that transfers nothing.
        adaptive: returns further attacks, chosen by what the model is; they run after the others.
        diagnoses: whether the model's gradient is examined at the end, see `diagnosis`.
    """

    build: Callable[[DatasetInfo], tuple[Member, ...]]
    refined: bool = False
    gradients: bool = False
    sources: Callable[[Model], tuple[str, ...]] | None = None
    adaptive: Callable[[Evaluation, DatasetInfo], tuple[Member, ...]] | None = None
    diagnoses: bool = False

    @property
    def summary_type(self) -> type:
        """See `Suite.summary_type`."""
        return Summary

    def sources_of(self, model: Model) -> tuple[str, ...] | None:
        """See `Suite.sources_of`. Without sources the transfer attacks are left out."""
        return None if self.sources is None else self.sources(model)

    def members(self, evaluation: Evaluation) -> tuple[Member, ...]:
        """Returns the attacks of all threat models without duplicates: an attack without a threshold is the same in each."""
        found: dict[str, Member] = {}
        for info in evaluation.threat_models:
            for member in self._members_on(info, evaluation):
                found.setdefault(f"{member.label} {settings(member.attack)}", member)
        return tuple(found.values())

    def run(self, evaluation: Evaluation) -> None:
        """See `Suite.run`."""
        if self.adaptive:
            input_threshold.examine(evaluation)
            reconstructions.examine(evaluation)
        run_attacks(evaluation, self.members, self.samples, self.gradients)
        if self.diagnoses:
            diagnose(evaluation)

    def summarize(self, evaluation: Evaluation) -> Summary:
        """See `Suite.summarize`."""
        return summarize(evaluation, self.name, self.members(evaluation), self.samples)

    def has_results(self, evaluation: Evaluation) -> bool:
        """See `Suite.has_results`."""
        if evaluation.store.check(evaluation.digest, evaluation.info.name, "endpoints") is None:
            return False
        keys = (key for member in self.members(evaluation) for key in run_keys(evaluation, member))
        return any(evaluation.store.find_run(key) is not None for key in keys)

    def outline(self, info: DatasetInfo) -> list[str]:
        """See `Suite.outline`."""
        limits = {member: f" (first {member.samples} images)" if member.samples else "" for member in self.build(info)}
        return [f"{member.label:10} {member.attack}{limit}" for member, limit in limits.items()]

    def _members_on(self, info: DatasetInfo, evaluation: Evaluation) -> list[Member]:
        adaptive = self.adaptive(evaluation, info) if self.adaptive else ()
        members = [member for member in (*self.build(info), *adaptive) if member.attack.norm in evaluation.norms]
        members = [_with_sources(member, evaluation) for member in members]
        members = [member for member in members if not isinstance(member.attack, Transfer) or member.attack.sources]
        # A model with a surrogate usually has a hard threshold without a useful gradient. All other models share their
        # results with the suites that do not refine.
        if self.refined and "attack_logits" in evaluation.endpoints:
            return [dataclasses.replace(member, attack=Refined(inner=member.attack)) for member in members]
        return members


def _with_sources(member: Member, evaluation: Evaluation) -> Member:
    if not isinstance(member.attack, Transfer):
        return member
    names, digests = (tuple(getattr(source, name) for source in evaluation.sources) for name in ("name", "digest"))
    return dataclasses.replace(member, attack=dataclasses.replace(member.attack, sources=names, digests=digests))
