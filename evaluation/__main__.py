"""Attacks SavedModels, shifts their images, and tells how robust they are.

  zoo-evaluate --model=mnist/dim --suite=quick                    a minute: PGD and FGM on 200 test images
  zoo-evaluate --model=mnist/dim --model=mnist/cnn --suite=cleverhans
                                                                  every CleverHans attack; resumes after a kill
  zoo-evaluate --model=all --suite=cleverhans --update_card       the whole catalogue, scores into the cards
  zoo-evaluate --saved_model=my_model/1 --dataset=fashion_mnist --suite=quick
                                                                  anyone's model from images in [0, 1] to logits
  zoo-evaluate --model=mnist/dim --suite=cleverhans --report_only --output=report
                                                                  tables (Markdown, CSV, JSON) and figures from the store
  zoo-evaluate --model=mnist/dim --model=mnist/cnn --suite=noise
                                                  accuracy at ten levels of three noises, and the areas under the curves
  zoo-evaluate --model=all --suite=corruptions    15 common corruptions, five severities, by frequency
  zoo-evaluate --model=mnist/dim --suite=white_box --samples=200
                                                  PGD in L∞ and L2 at several radii
  zoo-evaluate --model=mnist/dim --suite=transfer --source=mnist/cnn
                                                  FGSM made on another network
  zoo-evaluate --model=mnist/dim --suite=noise --report_only --page=docs/similarity.md
                                                  the section between <!-- shifts noise:begin --> and ...:end -->
  zoo-evaluate --model=mnist/dim --suite=boundary --report_only --page=docs/similarity.md
                                                  medians of the Boundary attack: <!-- boundary:begin --> ...:end -->

`python -m cortexzoo.evaluation` does the same. Results go to --store, an SQLite file; what is there is not computed again.
Every adversarial image is classified anew on the serving path; accuracies carry 95 % Wilson intervals; suites: --list.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags, logging
from cortexzoo.startup import configure_tensorflow
from rich.console import Console

if TYPE_CHECKING:
    from cortexzoo.evaluation.results.store import Store
    from cortexzoo.evaluation.subjects import Subject
    from cortexzoo.evaluation.suites.shifts import ShiftSuite

_MODELS = flags.DEFINE_multi_string(
    "model",
    [],
    "Id in the catalogue, such as mnist/dim, or `all`: with --report_only those that the suite has attacked. With it an id "
    "may also be one that the store alone knows. Repeatable.",
)
_SAVED_MODELS = flags.DEFINE_multi_string("saved_model", [], "Path of a SavedModel directory. Repeatable.")
_DATASET = flags.DEFINE_string("dataset", None, "Data set for --saved_model; a catalogued model has its own.")
_SUITE = flags.DEFINE_string("suite", "quick", "The attacks or shifts; --list shows the suites.")
_SOURCES = flags.DEFINE_multi_string(
    "source",
    [],
    "Id in the catalogue of a model whose adversarials are transferred, in the suites `transfer` and "
    "`brendel_bethge_comment`, which takes each model's plain twin besides. For a report of `transfer` the store alone may "
    "know it. Repeatable. No model is its own source.",
)
_SAMPLES = flags.DEFINE_integer(
    "samples", None, "Attack the first N test images; defaults to the suite's number.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the attacks and shifts.", lower_bound=0, upper_bound=2**31 - 1)
_WORKERS = flags.DEFINE_integer(
    "workers",
    1,
    "Processes that share the attacks; each needs about 1 GB. The results do not depend on it.",
    lower_bound=1,
)
_STORE = flags.DEFINE_string("store", "runs/results.sqlite", "SQLite file of results; it is created where missing.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for tables (Markdown, CSV, JSON) and figures (PNG, SVG).")
_PAGE = flags.DEFINE_string(
    "page",
    None,
    "Markdown file whose sections are made anew: what stands between the lines <!-- results:begin --> and "
    "<!-- results:end -->; likewise `comparison` (with the paper's figures), `nearest` (which attack breaks how many), "
    "`pairs` (which model keeps more images than which other), `saturating` (the suite brendel_bethge_comment) and "
    "`boundary`; `shifts SUITE` of a suite of shifts. Models X, X-seed1, X-seed2 ... are seeds of one there.",
)
_FIGURES = flags.DEFINE_string("figures", "docs/figures", "Folder for the figures of --page.")
_UPDATE_CARD = flags.DEFINE_bool("update_card", False, "Write the scores into the cards of catalogued models.")
_REPORT_ONLY = flags.DEFINE_bool("report_only", False, "Attack nothing; report what the store has.")
_LIST = flags.DEFINE_bool("list", False, "List the suites with their attacks and stop.")


def main(arguments: list[str]) -> None:
    """Evaluates what the flags name and prints a table."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --model=mnist/dim. Received: {' '.join(arguments[1:])}")
    configure_tensorflow()
    if _LIST.value:
        _list_suites()
        return
    if not _MODELS.value and not _SAVED_MODELS.value:
        raise app.UsageError("Expected --model=ID or --saved_model=PATH. Received: neither. `zoo list` shows the ids.")
    # The data library reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    from cortexzoo.catalog import IntegrityError
    from cortexzoo.evaluation.results.store import StoreError

    try:
        _evaluate()
    except (ValueError, IntegrityError, StoreError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. What is done is in {_STORE.value}: the same command goes on from there.")


def _evaluate() -> None:
    from cortexzoo.evaluation import subjects, suites
    from cortexzoo.evaluation.report import write_report
    from cortexzoo.evaluation.report.tables import terminal_table
    from cortexzoo.evaluation.results.store import Store
    from cortexzoo.evaluation.suites.shifts import ShiftSuite

    suite = suites.find(_SUITE.value)
    samples = _SAMPLES.value or suite.samples
    # What can be refused is refused before a store is made.
    chosen = subjects.from_paths(_SAVED_MODELS.value, _DATASET.value)
    if not _REPORT_ONLY.value:
        chosen = subjects.catalogued(_MODELS.value) + chosen
    with Store(_STORE.value, create=not _REPORT_ONLY.value) as store:
        if _REPORT_ONLY.value:
            chosen = subjects.remembered(_MODELS.value, store) + chosen
        if _REPORT_ONLY.value and "all" in _MODELS.value:
            sources = tuple(_SOURCES.value)
            chosen = [one for one in chosen if subjects.has_results(one, suite, store, _SEED.value, sources)]
            if not chosen:
                raise ValueError(f"Expected results of the suite {suite.name} in {_STORE.value}. Received: none.")
        if isinstance(suite, ShiftSuite):
            _evaluate_shifts(suite, chosen, store)
            return
        summaries = []
        for subject in chosen:
            summary = subjects.evaluate(
                subject,
                suite,
                store,
                samples=samples,
                seed=_SEED.value,
                workers=_WORKERS.value,
                report_only=_REPORT_ONLY.value,
                sources=tuple(_SOURCES.value),
            )
            summaries.append(summary)
            if _UPDATE_CARD.value:
                subjects.update_card(subject, summary)
        Console().print(terminal_table(summaries))
        if _OUTPUT.value:
            for path in write_report(summaries, store, Path(_OUTPUT.value)):
                print(path)
        if _PAGE.value:
            from cortexzoo.evaluation.report.page import update_page

            update_page(summaries, store, Path(_PAGE.value), Path(_FIGURES.value))


def _evaluate_shifts(suite: "ShiftSuite", chosen: list["Subject"], store: "Store") -> None:
    from cortexzoo.evaluation import subjects
    from cortexzoo.evaluation.report import shifts

    summaries = []
    for subject in chosen:
        summary = subjects.evaluate_shifts(
            subject,
            suite,
            store,
            sources=tuple(_SOURCES.value),
            samples=_SAMPLES.value or suite.samples,
            seed=_SEED.value,
            report_only=_REPORT_ONLY.value,
        )
        summaries.append(summary)
        if _UPDATE_CARD.value:
            subjects.update_card(subject, summary)
    Console().print(shifts.terminal_table(summaries))
    if _OUTPUT.value:
        for path in shifts.write_shift_report(summaries, Path(_OUTPUT.value)):
            print(path)
    if _PAGE.value:
        shifts.update_shift_page(summaries, Path(_PAGE.value), Path(_FIGURES.value))


def _list_suites() -> None:
    from cortexzoo.evaluation.suites import SHIFT_SUITES, SUITES

    for suite in SUITES.values():
        print(f"{suite.name}: {suite.description}")
        for member in suite.members:
            limit = f" (first {member.samples} images)" if member.samples else ""
            print(f"  {member.label:10} {member.attack}{limit}")
    for suite in SHIFT_SUITES.values():
        print(f"{suite.name}: {suite.description}")


if __name__ == "__main__":
    app.run(main)
