"""Evaluates how robust classifiers are to attacks and to shifts of their images.

  PGD and FGM on 200 test images, in about a minute
    cortexzoo evaluate --model=mnist/dim
  several models side by side; if killed, the same command resumes
    cortexzoo evaluate --model=mnist/dim --model=mnist/cnn --suite=cleverhans
  your own model and images; the exit code is 1 below 50 %
    cortexzoo evaluate --model=my.keras --data=photos/ --epsilon=linf:8/255 \\
        --fail_under=linf:0.5
  a model for images from 0 to 255; adversarial images as .npz files in found/
    cortexzoo evaluate --model=my_model/1 --data=images.npz --scale=255 \\
        --save_adversarials=found
  42 attacks in four norms, two processes, printed as JSON
    cortexzoo evaluate --model=mnist/dim --suite=paper42 --workers=2 \\
        --format=json
  15 common corruptions at five severities
    cortexzoo evaluate --model=mnist/dim --suite=corruptions
  FGSM images transferred from another model
    cortexzoo evaluate --model=mnist/dim --suite=transfer --source=mnist/cnn
  tables and figures of stored results
    cortexzoo evaluate --model=all --suite=cleverhans --report_only \\
        --output=report
  whether the model's gradient can be trusted, in words (docs/masking.md)
    cortexzoo evaluate --model=mnist/dim --suite=clean --diagnose
  updates the generated sections of a page, see --page
    cortexzoo evaluate --model=mnist/dim --suite=noise --report_only --page=a.md

A model is an id in the catalogue (`cortexzoo list`), a SavedModel directory, or a .keras or .h5 file. It maps images in
[0, 1] to logits. The data are a data set of the catalogue or of TensorFlow Datasets, an .npz file with images and labels, or
a folder with one folder of images per class. `cortexzoo suites` lists the suites. Results are kept in --store and are not
computed again. Every adversarial image is verified on the serving path; accuracies come with 95 % Wilson intervals.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from cortexzoo.console import print_report, run
from cortexzoo.startup import configure_tensorflow

_MODELS = flags.DEFINE_multi_string(
    "model",
    [],
    "Id in the catalogue, path of a SavedModel or of a .keras or .h5 file, or `all` for the whole catalogue. With "
    "--report_only also an id that is only in the store; `all` then means all with results of the suite.",
)
_DATA = flags.DEFINE_string(
    "data", None, "Images: a data set's name, an .npz file or a folder. Defaults to a catalogued model's own data set."
)
_SUITE = flags.DEFINE_string("suite", "quick", "The attacks or shifts; `cortexzoo suites` lists them.")
_EPSILONS = flags.DEFINE_multi_string(
    "epsilon", [], "Threshold that replaces the data set's, as in linf:8/255; a norm may have several."
)
_NORMS = flags.DEFINE_multi_enum("norm", [], ("linf", "l2", "l1", "l0"), "Attack only this norm.")
_SOURCES = flags.DEFINE_multi_string(
    "source",
    [],
    "Id in the catalogue of a model from which adversarial images are transferred, for suites that do so. No model is its "
    "own source.",
)
_TARGET = flags.DEFINE_integer("target", None, "Attack towards this class; by default any but the label.", lower_bound=0)
_DIAGNOSE = flags.DEFINE_bool(
    "diagnose", False, "Look for every sign of gradient masking, in about a minute; the verdict stands below the table."
)
_SAMPLES = flags.DEFINE_integer("samples", None, "Attack the first N images; defaults to the suite's number.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the attacks and shifts.", lower_bound=0, upper_bound=2**31 - 1)
_SCALE = flags.DEFINE_float("scale", None, "255 for models that take images from 0 to 255.", lower_bound=0.0)
_MEAN = flags.DEFINE_multi_float("mean", [], "For models that take (image * scale - mean) / std. Once, or once per channel.")
_STD = flags.DEFINE_multi_float("std", [], "See --mean.")
_BATCH = flags.DEFINE_integer("batch", None, "Most images to differentiate at once; defaults to what fits.", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", 1, "Processes that share the attacks, about 1 GB each. Results do not depend on it.", lower_bound=1
)
_STORE = flags.DEFINE_string("store", "runs/results.sqlite", "SQLite file of results, created if missing.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for tables (Markdown, CSV, JSON) and figures (PNG, SVG).")
_SAVE = flags.DEFINE_string("save_adversarials", None, "Folder for the adversarial images, one .npz file per attack.")
_PAGE = flags.DEFINE_string(
    "page",
    None,
    "Markdown file whose generated sections are updated. A section stands between <!-- NAME:begin --> and "
    "<!-- NAME:end -->; on a page about several suites NAME SUITE replaces NAME. NAME is boundary, comparison, nearest, "
    "pairs, results or saturating for attacks, and shifts for shifts.",
)
_FIGURES = flags.DEFINE_string("figures", None, "Folder for the figures of --page; defaults to `figures` beside it.")
_FORMAT = flags.DEFINE_enum("format", "table", ("table", "json", "csv", "markdown"), "Format of the printed results.")
_FAIL_UNDER = flags.DEFINE_multi_string(
    "fail_under",
    [],
    "Required robust accuracy in a norm, as in linf:0.5, or clean accuracy, as in clean:0.9. The exit code is 1 if the "
    "lower end of the 95 % interval is below.",
)
_UPDATE_CARD = flags.DEFINE_bool("update_card", False, "Write the scores into the cards of catalogued models.")
_REPORT_ONLY = flags.DEFINE_bool("report_only", False, "Run nothing; report what is in the store.")
_LIST = flags.DEFINE_bool("list", False, "List the suites with their members and exit.")


def main(arguments: list[str]) -> None:
    """Evaluates what the flags name and prints a table."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --model=mnist/dim. Received: {' '.join(arguments[1:])}")
    configure_tensorflow()
    # Evaluation needs TensorFlow, whatever backend the user's own programs have.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if _LIST.value:
        _list_suites()
        return
    if not _MODELS.value:
        raise app.UsageError("Expected --model=ID or --model=PATH. Received: neither. `cortexzoo list` shows the ids.")
    _check_flags()
    # TensorFlow Datasets logs every file that it opens.
    logging.set_verbosity(logging.WARNING)
    from cortexzoo.catalog import IntegrityError
    from cortexzoo.evaluation.results.store import StoreError

    try:
        failures = _evaluate()
    except (ValueError, OSError, IntegrityError, StoreError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. Finished results are in {_STORE.value}; run the same command to resume.")
    if failures:
        sys.exit("\n".join(failures))


def _evaluate() -> list[str]:
    """Runs the evaluation that the flags describe, and returns the messages of failed gates."""
    from cortexzoo.evaluation import suites
    from cortexzoo.evaluation.diagnosis import diagnose
    from cortexzoo.evaluation.gates import failures, parse_gates
    from cortexzoo.evaluation.results.store import Store

    # Invalid arguments are refused before a store is created.
    suite, gates = suites.find(_SUITE.value), parse_gates(_FAIL_UNDER.value)
    _check_outputs(suite)
    prepare = _preparation(suite)
    with Store(_STORE.value, create=not _REPORT_ONLY.value) as store:
        summaries = []
        for evaluation in prepare(store):
            _check_evaluation(suite, evaluation, gates)
            if not _REPORT_ONLY.value:
                suite.run(evaluation)
                if _DIAGNOSE.value:
                    diagnose(evaluation)
            summary = suite.summarize(evaluation)
            summaries.append(summary)
            if _UPDATE_CARD.value:
                _update_card(summary)
        _report(summaries)
        return failures(summaries, gates)


def _preparation(suite: Any):
    from cortexzoo.evaluation.preparation import Preparation
    from cortexzoo.evaluation.thresholds import parse_thresholds

    return Preparation(
        suite=suite,
        models=tuple(_MODELS.value),
        data=_DATA.value,
        epsilons=parse_thresholds(_EPSILONS.value),
        norms=tuple(_NORMS.value),
        sources=tuple(_SOURCES.value),
        target=_TARGET.value,
        samples=_SAMPLES.value,
        seed=_SEED.value,
        scale=_SCALE.value,
        mean=tuple(_MEAN.value),
        std=tuple(_STD.value),
        batch_limit=_BATCH.value,
        workers=_WORKERS.value,
        keeps_images=_SAVE.value is not None,
        report_only=_REPORT_ONLY.value,
    )


def _check_flags() -> None:
    """Refuses flags that would have no effect."""
    if _REPORT_ONLY.value and _DIAGNOSE.value:
        raise app.UsageError("Expected no --diagnose beside --report_only, which shows the verdict that is in the store.")
    if _REPORT_ONLY.value and (unused := [flag.name for flag in (_BATCH, _WORKERS) if flag.present]):
        raise app.UsageError(f"Expected no --{' or --'.join(unused)} beside --report_only, which attacks nothing.")
    if _FIGURES.value and not _PAGE.value:
        raise app.UsageError("Expected --page beside --figures. For figures without a page use --output.")
    if _UPDATE_CARD.value and (_EPSILONS.value or _NORMS.value or _TARGET.value is not None):
        raise app.UsageError(
            "Expected no --epsilon, --norm or --target beside --update_card: cards hold the data set's thresholds."
        )


def _check_outputs(suite: Any) -> None:
    from cortexzoo.evaluation.report.page import check_page
    from cortexzoo.files import check_writable

    for folder in filter(None, (_OUTPUT.value, _SAVE.value, _FIGURES.value)):
        check_writable(folder)
    if _PAGE.value:
        check_page(Path(_PAGE.value), suite.summary_type, suite.name)


def _check_evaluation(suite: Any, evaluation: Any, gates: dict[str, float]) -> None:
    """Refuses outputs and sources that do not apply to the suite or the models."""
    from cortexzoo.evaluation.gates import check_gates

    model = evaluation.model
    if _SOURCES.value and suite.sources_of(model) is None:
        raise ValueError(f"Expected no --source for the suite {suite.name}, which transfers nothing.")
    # Seeds that are only in the store have no card, but may be named together with models that have one.
    if _UPDATE_CARD.value and model.model_id is None and model.path is not None:
        raise ValueError(f"Expected models with a card for --update_card. Received: {model.name}, which has none.")
    check_gates(gates, suite, evaluation)


def _update_card(summary: Any) -> None:
    from cortexzoo import catalog
    from cortexzoo.evaluation.diagnosis import from_store
    from cortexzoo.evaluation.worst_case import checks_of_strong, worst_cases

    if (model_id := summary.evaluation.model.model_id) is None:
        return
    changes = summary.card_changes(catalog.model_card(model_id))
    if worst := worst_cases(summary.evaluation):
        changes["robustness"] = {norm: case.as_json() for norm, case in worst.items()}
    if diagnosis := from_store(summary.evaluation, checks_of_strong(summary.evaluation)):
        changes["diagnosis"] = diagnosis.as_json()
    catalog.update_card(model_id, **changes)


def _report(summaries: list[Any]) -> None:
    from cortexzoo.evaluation.adversarials import save_adversarials
    from cortexzoo.evaluation.report import report_of
    from cortexzoo.evaluation.report.page import update_page

    report = report_of(summaries)
    if _FORMAT.value == "table":
        print_report(report.terminal_table(summaries))
    elif _FORMAT.value == "json":
        print(json.dumps(report.as_json(summaries), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(report.as_csv(summaries) if _FORMAT.value == "csv" else report.as_markdown(summaries), end="")
    written = report.write(summaries, Path(_OUTPUT.value)) if _OUTPUT.value else []
    if _SAVE.value:
        written += [path for summary in summaries for path in save_adversarials(summary, Path(_SAVE.value))]
    for path in written:
        print(path, file=sys.stdout if _FORMAT.value == "table" else sys.stderr)
    if _PAGE.value:
        page = Path(_PAGE.value)
        update_page(summaries, page, Path(_FIGURES.value) if _FIGURES.value else page.parent / "figures")


def _list_suites() -> None:
    from cortexzoo import datasets
    from cortexzoo.evaluation import suites

    print(suites.outline(datasets.info(_DATA.value or "mnist")))


if __name__ == "__main__":
    run(main, "cortexzoo evaluate")
