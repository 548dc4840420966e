"""What is evaluated: models of the catalogue by id, anyone's SavedModels by path."""

import dataclasses
import functools
from pathlib import Path

from cortexzoo import catalog, datasets
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.classifier import Classifier, saved_model_digest
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.shifts import ShiftSummary, summarize_shifts
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary, summarize
from cortexzoo.evaluation.running.runner import endpoints, run_suite
from cortexzoo.evaluation.running.shifts import run_shifts, shift_key
from cortexzoo.evaluation.suites import Suite
from cortexzoo.evaluation.suites.shifts import ShiftMember, ShiftSuite, Source

_PROBE = 16


@dataclasses.dataclass(frozen=True)
class Subject:
    """One SavedModel to evaluate.

    Attributes:
        name: for people.
        path: the SavedModel directory; None for one of which there are results alone.
        dataset: name of the data set.
        model_id: id in the catalogue; None for a SavedModel from elsewhere.
        kept_digest: that of the results, where there is no path.
    """

    name: str
    path: Path | None
    dataset: str
    model_id: str | None = None
    kept_digest: str | None = None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the SavedModel's files, its identity in the store."""
        return self.kept_digest or saved_model_digest(self.path)


def remembered(names: list[str], store: Store) -> list[Subject]:
    """Returns the models of these ids for a report: those of the catalogue, and those of which the store alone knows.

    Args:
        names: ids, or "all" for the catalogue.
        store: the results. More seeds of a model, say, are in it and not in the catalogue.

    Raises:
        ValueError: an id is known to neither, or the store has several models of that name.
        IntegrityError: a file differs from its card.
    """
    known = {"all", *(card.id for card in catalog.list_models())}
    found = [catalogued([name]) if name in known else [_kept(name, store)] for name in names]
    return list({subject.name: subject for subjects in found for subject in subjects}.values())


def _kept(name: str, store: Store) -> Subject:
    digests = [digest for digest, kept in store.models().items() if kept == name]
    if len(digests) != 1:
        raise ValueError(
            f"Expected one model {name} in the catalogue or in {store.path}. Received: none in the catalogue, "
            f"{len(digests)} in the store."
        )
    return Subject(name, None, name.partition("/")[0], kept_digest=digests[0])


def catalogued(model_ids: list[str]) -> list[Subject]:
    """Returns the catalogued models of these ids ("all" for every one), their files verified.

    Raises:
        ValueError: an id is unknown.
        IntegrityError: a file differs from its card.
    """
    ids = [card.id for card in catalog.list_models()] if "all" in model_ids else dict.fromkeys(model_ids)
    return [Subject(i, catalog.verified_saved_model(i), catalog.model_card(i).dataset, i) for i in ids]


def has_results(subject: Subject, suite: Suite | ShiftSuite, store: Store, seed: int, sources: tuple[str, ...] = ()) -> bool:
    """Tells whether the store has results of any attack or shift of the suite on the model.

    Args:
        subject: the model.
        suite: the attacks or the shifts.
        store: the results.
        seed: seed of the attacks or shifts.
        sources: see `evaluate_shifts`.
    """
    kept = store.check(subject.digest, subject.dataset, "endpoints")
    if kept is None:
        return False
    if isinstance(suite, ShiftSuite):
        runs = (
            shift_key(subject.digest, subject.dataset, member.shift, level, tuple(kept), seed)
            for member in _shifts_of(suite, subject, sources, store)
            for level in member.shift.levels
        )
    else:
        runs = (
            RunKey(subject.digest, subject.dataset, endpoint, seed, settings(member.attack))
            for member in suite.members_on(tuple(kept))
            for endpoint in endpoints(tuple(kept), member.attack, member.endpoints)
        )
    return any(store.find_run(run) is not None for run in runs)


def _shifts_of(
    suite: ShiftSuite, subject: Subject, sources: tuple[str, ...], store: Store | None
) -> tuple[ShiftMember, ...]:
    found = transfer_sources(subject, sources, store) if suite.needs_sources else ()
    named = tuple(Source(source.name, source.digest, source.path) for source in found)
    return suite.members_on(datasets.info(subject.dataset), named)


def from_paths(paths: list[str], dataset: str | None) -> list[Subject]:
    """Returns SavedModels by path.

    Raises:
        ValueError: there is no or an unknown data set.
    """
    if paths and dataset is None:
        raise ValueError(f"Expected --dataset beside --saved_model, one of {', '.join(datasets.DATASETS)}. Received: none.")
    if paths:
        datasets.info(dataset)
    return [Subject("/".join(Path(path).resolve().parts[-2:]), Path(path), dataset) for path in paths]


def evaluate(
    subject: Subject,
    suite: Suite,
    store: Store,
    *,
    samples: int,
    seed: int,
    workers: int = 1,
    report_only: bool = False,
    sources: tuple[str, ...] = (),
) -> Summary:
    """Runs what the store lacks and returns the numbers.

    Args:
        subject: the model.
        suite: the attacks.
        store: the results.
        samples: how many of the first test images are attacked.
        seed: seed of the attacks.
        workers: processes that share the work.
        report_only: attack nothing.
        sources: ids in the catalogue of models from which adversarials are transferred, after the model's plain twin; see
            `transfer_sources`.

    Raises:
        ClassifierError: the SavedModel cannot be attacked as it is.
        ValueError: a source is unknown; or `report_only`, and the store knows nothing of the model.
        IntegrityError: a file of a source differs from its card.
    """
    info = datasets.info(subject.dataset)
    if suite.transfers:
        found = transfer_sources(subject, (*_twin(subject), *sources))
        suite = suite.transferred_from(tuple(source.name for source in found))
    if not report_only:
        _attack(subject, info, suite, store, samples, seed, workers)
    kept = _kept_endpoints(subject, store)
    return summarize(store, subject.digest, info, suite, seed=seed, endpoints_of_classifier=kept, samples=samples)


def evaluate_shifts(
    subject: Subject,
    suite: ShiftSuite,
    store: Store,
    *,
    sources: tuple[str, ...] = (),
    samples: int,
    seed: int,
    report_only: bool = False,
) -> ShiftSummary:
    """Runs what the store lacks of shifts and returns the numbers.

    Args:
        subject: the model.
        suite: the shifts.
        store: the results.
        sources: ids of networks whose gradients are transferred, see `transfer_sources`; a suite that needs none ignores
            them. For a report the store may know them alone.
        samples: how many of the first test images are changed.
        seed: seed of the shifts.
        report_only: compute nothing.

    Raises:
        ClassifierError: the SavedModel cannot be evaluated as it is.
        ValueError: the suite needs sources, and none is left; or `report_only`, and the store has no shift at all levels.
        IntegrityError: a file of a source differs from its card.
    """
    info, members = datasets.info(subject.dataset), _shifts_of(suite, subject, sources, store if report_only else None)
    if not report_only:
        split = datasets.load(subject.dataset, "test")
        classifier = Classifier(subject.path, info, split.first(_PROBE).images)
        run_shifts(classifier, info, split, members, store, samples=samples, seed=seed, name=subject.name)
    kept = _kept_endpoints(subject, store)
    summary = summarize_shifts(
        store, subject.digest, info, suite.name, members, seed=seed, endpoints_of_classifier=kept, samples=samples
    )
    if not summary.curves:
        raise _no_results(subject, store, f" under the suite {suite.name}, of a shift at all levels,")
    return summary


def _kept_endpoints(subject: Subject, store: Store) -> tuple[str, ...]:
    kept = store.check(subject.digest, subject.dataset, "endpoints")
    if kept is None:
        raise _no_results(subject, store)
    return tuple(kept)


def _no_results(subject: Subject, store: Store, which: str = "") -> ValueError:
    return ValueError(
        f"Expected results of {subject.name}{which} in {store.path}. Received: none. Run without --report_only first."
    )


def transfer_sources(subject: Subject, model_ids: tuple[str, ...], store: Store | None = None) -> tuple[Subject, ...]:
    """Returns those of the models from which adversarials are transferred to this one, each once, by name.

    Models of other data sets are left out, and so is the model itself: that would be its own gradient, and no transfer.
    The order in which they were named is no setting of the attack.

    Args:
        subject: the model.
        model_ids: ids of the candidates.
        store: for a report, where candidates may stand that are not in the catalogue; None for the catalogue alone.

    Raises:
        ValueError: an id is unknown.
        IntegrityError: a file differs from its card.
    """
    candidates = catalogued(list(model_ids)) if store is None else remembered(list(model_ids), store)
    others = (one for one in candidates if one.dataset == subject.dataset and one.digest != subject.digest)
    return tuple(sorted(others, key=lambda source: source.name))


def _twin(subject: Subject) -> tuple[str, ...]:
    """The plain twin that the recipe on the card names, where it names one."""
    if subject.model_id is None:
        return ()
    twin = catalog.model_card(subject.model_id).recipe.get("config", {}).get("twin")
    return (twin,) if twin else ()


def _attack(
    subject: Subject, info: datasets.DatasetInfo, suite: Suite, store: Store, samples: int, seed: int, workers: int
) -> None:
    split = datasets.load(subject.dataset, "test")
    classifier = Classifier(subject.path, info, split.first(_PROBE).images)
    run_suite(
        classifier,
        info,
        split,
        suite,
        store,
        samples=samples,
        seed=seed,
        name=subject.name,
        train=lambda: datasets.load(subject.dataset, "train"),
        workers=workers,
    )
    if suite.members:
        first = split.first(diagnostics.PROBES)
        diagnostics.measure(classifier, Batch(first.images, first.labels, first.ids, seed), store, info.name)
    if suite.gradients:
        first = split.first(samples)
        diagnostics.measure_gradients(classifier, Batch(first.images, first.labels, first.ids, seed), store, info.name)


def update_card(subject: Subject, summary: Summary | ShiftSummary) -> None:
    """Writes the scores into the card of a catalogued model, and its README anew; other suites' scores stay."""
    if subject.model_id is None:
        return
    card = catalog.model_card(subject.model_id)
    if isinstance(summary, ShiftSummary):
        catalog.update_card(subject.model_id, shifts={**card.shifts, summary.suite: summary.as_json()})
        return
    changes: dict = {"clean": summary.clean_json()}
    if summary.attacks:
        changes["robust"] = {**card.robust, summary.suite: summary.robust_json()}
        changes["diagnostics"] = {**card.diagnostics, summary.suite: [check.as_json() for check in summary.checks]}
    catalog.update_card(subject.model_id, **changes)
