"""`python -m cortexzoo.evaluation`: its errors say what to do, its help teaches, and a run by path works from any folder."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import app, flags, logging
from absl.testing import flagsaver

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.shifts import SaltAndPepperNoise
from cortexzoo.evaluation.suites import suites
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.quick import QUICK
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite
from tests.conftest import load_split
from tests.evaluation import fake_results
from tests.evaluation.evaluations import changed
from tests.evaluation.rows import read_rows
from tests.programs import alone
from tests.zoo.conftest import SMALL_ID, make_card

Main = Callable[..., None]
MNIST = datasets.info("mnist")
MEMBERS = QUICK.build(MNIST)


@pytest.fixture(scope="module")
def program() -> Iterator[object]:
    """`cortexzoo.evaluation.__main__`, imported into a process in which other programs may have defined their flags."""
    with alone("cortexzoo.evaluation.__main__") as module:
        yield module


@pytest.fixture
def main(program: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Main]:
    """Runs the program with these arguments in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    # Decoded once for all tests.
    monkeypatch.setattr(datasets, "load", load_split)
    verbosity = logging.get_verbosity()

    def run(*arguments: str) -> None:
        with flagsaver.flagsaver():
            program.main(flags.FLAGS(["cortexzoo evaluate", *arguments]))

    yield run
    logging.set_verbosity(verbosity)


@pytest.fixture(scope="module")
def finished(digits_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess, Path]:
    """A whole run as a user starts it, from a folder that is not the repository."""
    folder = tmp_path_factory.mktemp("elsewhere")
    arguments = [
        f"--model={digits_path}",
        "--data=mnist",
        "--suite=quick",
        "--samples=4",
        "--store=new/results.sqlite",
    ]
    command = [sys.executable, "-m", "cortexzoo.evaluation", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False), folder


def exit_message(main: Main, *arguments: str) -> str:
    with pytest.raises(SystemExit) as raised:
        main(*arguments)
    # A text, not a code: it is printed, and the exit code is 1.
    assert isinstance(raised.value.code, str)
    return raised.value.code


@pytest.mark.parametrize(
    ("suite", "meant"),
    [("quik", "quick"), ("cleverhan", "cleverhans"), ("CLEAN", "clean"), ("paper", "paper42"), ("xyz", "quick, cleverhans")],
)
def test_unknown_suite_names_close_ones(main: Main, suite: str, meant: str, digits_path: Path) -> None:
    message = exit_message(main, f"--model={digits_path}", "--data=mnist", f"--suite={suite}")
    assert f"Received: '{suite}'" in message
    assert set(meant.split(", ")) <= set(message.split("Did you mean: ")[1].rstrip("?").split(", "))


def test_unknown_model_names_the_catalogue(main: Main) -> None:
    message = exit_message(main, "--model=mnist/no_such_model_at_all")
    assert "Received: 'mnist/no_such_model_at_all'" in message
    assert str(Path(catalog.__file__).parents[1]) in message


def test_path_without_data(main: Main, digits_path: Path, tmp_path: Path) -> None:
    message = exit_message(main, f"--model={digits_path}")
    assert f"Expected --data with --model={digits_path.parent.name}, which is not in the catalogue" in message
    assert not list(tmp_path.iterdir())


def test_unknown_data_set(main: Main, digits_path: Path, tmp_path: Path) -> None:
    message = exit_message(main, f"--model={digits_path}", "--data=mnits")
    assert "Received: 'mnits'" in message
    assert not list(tmp_path.iterdir())


def test_path_without_a_saved_model(main: Main, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    message = exit_message(main, "--model=folder", "--data=mnist")
    assert "one that holds saved_model.pb. Received: folder" in message


def test_store_that_is_none(main: Main, digits_path: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no store\n" * 100)
    message = exit_message(main, f"--model={digits_path}", "--data=mnist", "--store=notes.txt")
    assert "Expected an SQLite file of results in notes.txt" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=file"], "Expected a folder that can be written: file. Received: file is a file."),
        (["--output=file/below"], "Expected a folder that can be written: file/below. Received: file is a file."),
        (["--save_adversarials=file"], "Expected a folder that can be written: file."),
        (["--page=none.md"], "Expected a Markdown page at none.md. Received: [Errno 2]"),
        (["--page=file"], "where NAME is one of boundary, boundary quick, comparison,"),
        (["--page=file", "--suite=noise"], "where NAME is one of shifts, shifts noise. Received: none of them."),
        (["--store="], "Expected the path of a file of results. Received: none."),
        (["--source=mnist/cnn"], "Expected no --source for the suite quick, which transfers nothing."),
        (["--update_card"], "Expected models with a card for --update_card. Received: "),
        (["--fail_under=l0:0.5"], "Expected a suite that attacks L0, for --fail_under=l0:0.5. Received: quick."),
        (["--norm=l2", "--fail_under=linf:0.5"], "Expected a suite that attacks L∞"),
        (["--suite=noise", "--fail_under=linf:0.5"], "Expected a suite that attacks L∞"),
    ],
)
def test_refused_before_the_work(
    main: Main, digits_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(AttackSuite, "run", None)
    monkeypatch.setattr(ShiftSuite, "run", None)
    assert message in exit_message(main, f"--model={digits_path}", "--data=mnist", "--samples=4", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report_only", "--batch=3", "--workers=1"], "Expected no --batch or --workers beside --report_only"),
        (["--figures=figures"], "Expected --page beside --figures"),
        (["--update_card", "--epsilon=linf:0.1"], "Expected no --epsilon, --norm or --target beside --update_card"),
    ],
)
def test_flags_without_effect_are_refused(main: Main, arguments: list[str], message: str) -> None:
    with pytest.raises(app.UsageError, match=message):
        main("--model=mnist/cnn", *arguments)


def test_a_file_that_is_no_model(main: Main, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("")
    assert "Received: the file weights.bin." in exit_message(main, "--model=weights.bin", "--data=mnist")


def test_report_only_of_an_unknown_model(main: Main, digits_path: Path) -> None:
    Store("empty.sqlite").close()
    message = exit_message(main, f"--model={digits_path}", "--data=mnist", "--report_only", "--store=empty.sqlite")
    assert "Expected results of" in message
    assert "Run without --report_only first" in message


def test_report_only_of_a_path_without_a_model(main: Main) -> None:
    Store("empty.sqlite").close()
    message = exit_message(main, "--model=nowhere", "--data=mnist", "--report_only", "--store=empty.sqlite")
    assert (
        "Expected one model named nowhere in the catalogue or in empty.sqlite. Received: none in the catalogue, 0" in message
    )


def test_report_only_without_a_store_makes_none(main: Main, digits_path: Path, tmp_path: Path) -> None:
    message = exit_message(main, f"--model={digits_path}", "--data=mnist", "--report_only", "--store=no/such.sqlite")
    assert "Expected a file of results at no/such.sqlite. Received: none. Run without --report_only first" in message
    assert not list(tmp_path.iterdir())


def test_mistyped_model_makes_no_store(main: Main, tmp_path: Path) -> None:
    assert "mnist/dimm" in exit_message(main, "--model=mnist/dimm")
    assert not list(tmp_path.iterdir())


def test_nothing_to_evaluate(main: Main) -> None:
    with pytest.raises(app.UsageError, match=r"Expected --model=ID or --model=PATH\. Received: neither"):
        main("--suite=quick")


def test_arguments_that_are_no_flags(main: Main) -> None:
    with pytest.raises(app.UsageError, match=r"Expected flags only.*Received: mnist/dim"):
        main("mnist/dim")


@pytest.mark.parametrize("argument", ["--samples=0", "--seed=-1", "--samples=many", "--no_such_flag"])
def test_flag_values_are_checked(main: Main, argument: str) -> None:
    with pytest.raises(flags.Error):
        main("--model=all", argument)


def test_list_shows_every_attack_with_its_settings(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    main("--list")
    printed = capsys.readouterr().out
    for suite in suites().values():
        assert f"{suite.name}: {suite.description}" in printed
        assert all(f"  {line}" in printed for line in suite.outline(MNIST))
    for member in MEMBERS:
        assert f"{member.label:10} {member.attack}" in printed
    assert "Gaussian noise, standard deviation: 0.05, 0.1," in printed


def test_suite_of_shifts_is_run_reported_and_not_run_again(
    main: Main, digits_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = [f"--model={digits_path}", "--data=mnist", "--suite=noise", "--samples=4"]
    main(*arguments, "--output=report")
    first = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        *("shifts-noise.md", "shifts-noise.csv", "noise-mnist.png"),
    }
    monkeypatch.setattr(SaltAndPepperNoise, "apply", None)
    main(*arguments, "--report_only")
    reported = capsys.readouterr().out
    assert "Salt and pepper" in reported
    assert reported.strip() in first
    message = exit_message(main, *arguments[:2], "--suite=transfer")
    assert "Expected --source=ID for the suite transfer" in message


@pytest.mark.skipif(not catalog.list_models(), reason="the catalogue is empty")
def test_report_of_shifts_that_nobody_measured(main: Main, digits_path: Path) -> None:
    arguments = [f"--model={digits_path}", "--data=mnist", "--samples=4"]
    main(*arguments, "--suite=clean")
    message = exit_message(main, *arguments, "--suite=noise", "--report_only")
    assert "with all levels of a shift of the suite noise in runs/results.sqlite. Received: none." in message
    message = exit_message(main, "--model=all", "--suite=noise", "--report_only")
    assert "Expected results of the suite noise in runs/results.sqlite. Received: none." in message


def test_help_teaches() -> None:
    command = [sys.executable, "-m", "cortexzoo.evaluation", "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    for example in (
        "cortexzoo evaluate --model=mnist/dim\n",
        "cortexzoo evaluate --model=my.keras --data=photos/ --epsilon=linf:8/255 \\\n        --fail_under=linf:0.5",
        "--report_only \\\n        --output=report",
    ):
        assert example in printed
    for flag in ("model", "data", "suite", "samples", "seed", "store", "epsilon"):
        assert f"\n  --{flag}=VALUE\n" in printed
    assert re.search(r"\n  --(\[no\])?list\n", printed)


def test_examples_of_the_help_parse(program: object) -> None:
    lines = program.__doc__.replace("\\\n", "").splitlines()
    examples = [line.split()[1:] for line in lines if "cortexzoo evaluate --" in line]
    assert len(examples) >= 4
    for words in examples:
        with flagsaver.flagsaver():
            assert flags.FLAGS(words) == words[:1]
            assert flags.FLAGS.suite in suites()


def test_card_is_updated_where_there_is_one(
    program: object, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    summary = fake_results.add_model(store, "tiny/net")
    program._update_card(summary)
    assert list(tmp_path.iterdir()) == []
    catalog.save_card(make_card(files={"1/saved_model.pb": "0"}))
    program._update_card(changed(summary, model_id=SMALL_ID))
    assert catalog.model_card(SMALL_ID).robust["fake"] == json.loads(json.dumps(summary.robust_json()))


def test_clean_suite_attacks_nothing(main: Main, digits_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(f"--model={digits_path}", "--data=mnist", "--suite=clean")
    rows = read_rows(Path("runs/results.sqlite"))
    assert rows["results"] == []
    correct = sum(label == prediction for _, _, _, label, prediction in rows["clean"])
    assert f"{100 * correct / len(rows['clean']):.1f}" in capsys.readouterr().out


def test_a_run_prints_a_table(finished: tuple[subprocess.CompletedProcess, Path]) -> None:
    process, _ = finished
    assert process.returncode == 0, process.stderr
    assert "PGD" in process.stdout
    assert not [line for line in process.stdout.splitlines() if line != line.rstrip()]
    # Neither warnings nor TensorFlow's log.
    assert "Warning" not in process.stderr
    assert "Traceback" not in process.stderr


def test_a_run_fills_the_store(finished: tuple[subprocess.CompletedProcess, Path]) -> None:
    _, folder = finished
    rows = read_rows(folder / "new" / "results.sqlite")
    assert len(rows["clean"]) == len(load_split("mnist", "test"))
    # Broken images leave some attacks; nothing is left of others.
    every = sum(member.leaves_at is None for member in MEMBERS)
    assert 4 * every <= len(rows["results"]) < 4 * len(MEMBERS)
    keys = [json.loads(description) for description in sorted({row[0] for row in rows["results"]})]
    assert {key["dataset"] for key in keys} == {"mnist"}
    assert {key["endpoint"] for key in keys} == {"logits"}
    assert {key["settings"]["norm"] for key in keys} == {member.attack.norm for member in MEMBERS}
    assert len(keys) >= every
    labels = {sample: label for _, _, sample, label, _ in rows["clean"]}
    for _, sample, distance, prediction in rows["results"]:
        assert distance == 0.0 or np.isinf(distance) == (prediction == labels[sample])


def test_a_finished_run_can_be_reported_and_is_not_run_again(
    finished: tuple[subprocess.CompletedProcess, Path],
    main: Main,
    digits_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, folder = finished
    path = folder / "new" / "results.sqlite"
    before = read_rows(path)
    arguments = [f"--model={digits_path}", "--data=mnist", "--samples=4", f"--store={path}"]
    for member in MEMBERS:
        monkeypatch.setattr(type(member.attack), "run", None)
    main(*arguments)
    again = capsys.readouterr().out
    main(*arguments, "--report_only")
    reported = capsys.readouterr().out
    assert "PGD" in reported
    assert reported.strip() in again
    assert read_rows(path) == before


@pytest.fixture
def own_images(digits: Split, digits_path: Path, tmp_path: Path) -> list[str]:
    """Arguments for a run on six images in a file, at a threshold of their own."""
    np.savez(tmp_path / "digits.npz", images=digits.images[:6], labels=digits.labels[:6])
    return [f"--model={digits_path}", "--data=digits.npz", "--norm=linf", "--epsilon=linf:8/255", "--epsilon=linf:0.2"]


def test_own_images_thresholds_and_gates(
    own_images: list[str], main: Main, capsys: pytest.CaptureFixture[str], digits_classifier: Classifier, digits: Split
) -> None:
    main(*own_images, "--save_adversarials=found", "--format=json")
    printed = capsys.readouterr()
    (document,) = json.loads(printed.out)["models"]
    assert document["dataset"].startswith("digits@")
    assert [(score["label"], score["epsilon"]) for score in document["attacks"]] == [
        *((label, size) for label in ("PGD L∞", "FGM L∞", "APGD-T L∞") for size in (8 / 255, 0.2)),
    ]
    # The files are named beside the JSON, not in it.
    files = [Path(line) for line in printed.err.splitlines() if line.endswith(".npz")]
    assert [path.name for path in files] == ["PGD-Linf.npz", "FGM-Linf.npz", "APGD-T-Linf.npz", "worst-linf.npz"]
    with np.load(files[-1]) as worst:
        assert np.mean(worst["distances"] > 0.2 * (1 + 1e-5)) == document["attacks"][-1]["accuracy"]
        np.testing.assert_array_equal(digits_classifier.predict(worst["images"]), worst["predictions"])
        reached = np.abs(worst["images"] - digits.images[:6]).max(axis=(1, 2, 3))
        np.testing.assert_allclose(reached[worst["distances"] > 0], worst["distances"][worst["distances"] > 0], rtol=1e-6)
    # Six images at most prove little: the lower end of the interval decides.
    message = exit_message(main, *own_images, "--report_only", "--fail_under=linf:0.9", "--fail_under=clean:0.1")
    assert "robust accuracy in L∞ at 0.03137 is at least" in message
    assert "90.0 % is required" in message
    assert "clean" not in message
    capsys.readouterr()
    main(*own_images, "--report_only", "--fail_under=clean:0.1", "--format=csv")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1 + 3 * 2 + 2


@pytest.mark.parametrize("argument", ["--epsilon=0.1", "--epsilon=linf:much", "--fail_under=0.5", "--fail_under=linf:50"])
def test_thresholds_and_gates_are_checked(argument: str, main: Main, own_images: list[str], tmp_path: Path) -> None:
    message = exit_message(main, *own_images, argument)
    assert f"Received: {argument.partition('=')[2]!r}" in message
    assert not (tmp_path / "runs").exists()


def test_own_keras_file_on_own_images_with_a_gate_whatever_the_backend_of_keras(tmp_path: Path) -> None:
    """From another folder, in which projects have folders of their own called so."""
    for name in ("training", "evaluation", "zoo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not yours')")
    model = keras.Sequential([keras.Input((5, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    model.save(tmp_path / "my.keras")
    images = np.random.default_rng(0).random((12, 5, 4, 1), np.float32)
    np.savez(tmp_path / "mine.npz", images=images, labels=model.predict(images, verbose=0).argmax(axis=1))
    arguments = [
        "--model=my.keras",
        "--data=mine.npz",
        "--epsilon=linf:0.5",
        "--norm=linf",
        "--format=json",
        "--fail_under=linf:0.9",
    ]
    command = [sys.executable, "-m", "cortexzoo", "evaluate", *arguments, "--save_adversarials=found"]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 1, result.stderr
    assert "my: robust accuracy in L∞ at 0.5 is at least 0.0 %" in result.stderr
    (found,) = json.loads(result.stdout)["models"]
    assert found["clean"]["accuracy"] == 1.0
    assert found["unions"]["linf"]["accuracy"] == 0.0
    with np.load(tmp_path / "found" / "my" / "worst-linf.npz") as worst:
        assert worst["images"].shape == images.shape
        assert (worst["distances"] <= 0.5 + 1e-6).all()
        np.testing.assert_array_equal(model.predict(worst["images"], verbose=0).argmax(axis=1), worst["predictions"])
