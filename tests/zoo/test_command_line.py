"""`cortexzoo` and its commands on the catalogue, run as a user runs them."""

import csv
import dataclasses
import importlib.util
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo import catalog, console
from cortexzoo.__main__ import COMMANDS
from cortexzoo.card import write_card
from cortexzoo.card_page import render_card
from cortexzoo.commands import serve_check
from cortexzoo.loading import create_model
from tests.zoo.conftest import SMALL_ID, make_card


def run_zoo(*arguments: str, module: str = "cortexzoo", **options: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False, **options)


def assert_refused(result: subprocess.CompletedProcess, code: int, *parts: str) -> None:
    assert result.returncode == code, result.stdout + result.stderr
    assert all(part in result.stderr for part in parts), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_overview_names_every_command(arguments: list[str]) -> None:
    result = run_zoo(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.findall(r"^  ([a-z-]+)  +\w", result.stdout, flags=re.MULTILINE) == list(COMMANDS)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "  cortexzoo list --data=mnist" in result.stdout


def test_every_command_has_a_module() -> None:
    for command in COMMANDS.values():
        assert importlib.util.find_spec(command.module) is not None


@pytest.mark.parametrize(("name", "meant"), [("lst", "list"), ("evalute", "evaluate"), ("serve_check", "serve-check")])
def test_unknown_command_names_close_ones(name: str, meant: str) -> None:
    assert_refused(run_zoo(name, "--data=mnist"), 2, f"Received: '{name}'. Did you mean: ", meant)


def test_unknown_command_without_a_match_names_all() -> None:
    assert_refused(run_zoo("xyzzy"), 2, "Known: list, card, verify, evaluate,")


def test_console_script_is_the_same_program() -> None:
    code = "import sys, cortexzoo; sys.argv = ['/usr/bin/cortexzoo', 'help', 'list']; cortexzoo.command_line()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == run_zoo("list", "--help").stdout


def test_version() -> None:
    assert run_zoo("--version").stdout == f"{cz.__version__}\n"


@pytest.mark.parametrize("arguments", [["list", "--help"], ["help", "list"], ["list", "--data=mnist", "-h"]])
def test_help_of_a_command_teaches_by_example(arguments: list[str]) -> None:
    result = run_zoo(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "  cortexzoo list --data=mnist --sort_by=robust_accuracy" in result.stdout
    flags = re.findall(r"^  --(\w+)", result.stdout, flags=re.MULTILINE)
    assert flags == ["data", "sort_by", "top", "page", "format", "catalogue"], "none of absl's own"
    assert "--format=table|json|csv\n      What is printed. (default: table)\n" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("cortexzoo.commands.list_models", []),
        ("cortexzoo.commands.card", [SMALL_ID]),
        ("cortexzoo.commands.verify", []),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_a_command_is_also_a_module_of_its_own(module: str, arguments: list[str]) -> None:
    result = run_zoo(*arguments, module=module)
    assert result.returncode == 0, result.stderr
    assert SMALL_ID in result.stdout
    assert "Flags:\n  --" in run_zoo("--help", module=module).stdout


@pytest.mark.parametrize(
    ("command", "module", "expected"),
    [
        ("evaluate", "cortexzoo.evaluation", "--suite=VALUE"),
        ("suites", "cortexzoo.evaluation.list_suites", "|mnist\n"),
        ("train", "cortexzoo.training", "--recipe=VALUE"),
        ("analyze", "cortexzoo.evaluation.analysis", "  latents "),
        ("study", "cortexzoo.training.studies", "  sweep "),
    ],
)
def test_commands_of_the_other_packages(command: str, module: str, expected: str) -> None:
    result = run_zoo(command, "--help")
    assert (result.returncode, result.stderr) == (0, ""), "help needs no TensorFlow"
    assert expected in result.stdout
    assert run_zoo("--help", module=module).stdout == result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("package", ["cortexzoo.evaluation.analysis", "cortexzoo.training.studies"])
def test_help_of_analyses_and_studies_fits_the_screen(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, doc in console.discover(package).items():
        lines = console.command_help(test_overview_names_every_command, doc).splitlines()
        assert max(map(len, lines)) <= 80, name


def test_paragraphs_are_filled_and_commands_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    doc = "A title.\n\n  command --with=long_flags\n\none two three four five:\n- six seven eight nine\n- ten"
    filled = "A title.\n\n  command --with=long_flags\n\none two three four\nfive:\n- six seven eight\n  nine\n- ten"
    assert console.command_help(test_overview_names_every_command, doc) == filled


def test_an_interrupted_command_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as raised:
        console.run(main, "cortexzoo test", [])
    assert raised.value.code == 130
    assert capsys.readouterr().err == "cortexzoo test: interrupted.\n"


def test_suites() -> None:
    result = run_zoo("suites")
    assert result.returncode == 0
    assert {"clean", "quick", "cleverhans", "noise"} <= set(re.findall(r"^(\w+): ", result.stdout, flags=re.MULTILINE))
    assert "epsilon=0.3" in result.stdout
    assert_refused(run_zoo("suites", "--data=mnits"), 2, "--data=mnits")


@pytest.mark.usefixtures("catalogue")
def test_commands_run_in_projects_with_folders_of_the_same_names(tmp_path: Path) -> None:
    for name in ("zoo", "training", "evaluation", "commands", "datasets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('another project')")
    assert run_zoo("list", cwd=tmp_path).returncode == 0
    assert "--suite" in run_zoo("evaluate", "--help", cwd=tmp_path).stdout


def test_one_command_imports_one_module() -> None:
    """The catalogue answers without TensorFlow, and no flag is that of another command."""
    code = "import sys; from cortexzoo.__main__ import main; main(['cortexzoo', 'list', '--help'])"
    code = f"import atexit, sys; atexit.register(lambda: print([m for m in {_HEAVY} if m in sys.modules])); {code}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


_HEAVY = ("tensorflow", "keras", "matplotlib", "cortexzoo.evaluation.__main__", "cortexzoo.commands.verify")


def update_small(**changes: object) -> None:
    catalog.update_card(SMALL_ID, **changes)


@pytest.mark.usefixtures("catalogue")
def test_list() -> None:
    size = {"epsilon": 0.3, "interval": [0.2, 0.3], "samples": 100}
    worst = {"linf": {"accuracy": 0.25, **size, "decided_by": "PGD", "votes": {"PGD": 75}}}
    clean = {"correct": 5, "samples": 10, "accuracy": 0.5, "interval": [0.24, 0.76]}
    update_small(clean=clean, robustness=worst)
    result = run_zoo("list")
    assert (result.returncode, result.stderr) == (0, "")
    row = next(line for line in result.stdout.splitlines() if SMALL_ID in line)
    assert row.split() == [SMALL_ID, "50.0", "25.0", "—", "—", "—", f"{cz.model_card(SMALL_ID).parameters:,}", "A.", *_PAPER]
    (values,) = json.loads(run_zoo("list", "--format=json").stdout)
    expected = {
        "id": SMALL_ID,
        "data": "mnist",
        "clean": 0.5,
        "linf": 0.25,
        "l2": None,
        "l1": None,
        "l0": None,
        "minimal": None,
    }
    assert values == expected | {"parameters": cz.model_card(SMALL_ID).parameters, "paper": "A. Nobody 2021"}
    (row,) = csv.DictReader(io.StringIO(run_zoo("list", "--format=csv").stdout))
    assert row == {name: "" if value is None else str(value) for name, value in values.items()}


_PAPER = ["Nobody", "2021"]


def in_terminal(columns: int, *arguments: str) -> str:
    """What a command prints in a terminal of this width, without control sequences."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8", "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-m", "cortexzoo", *arguments], stdout=child, env=environment) as process:
        os.close(child)
        output = b""
        while True:
            try:
                output += (part := os.read(parent, 65536))
            except OSError:
                break
            if not part:
                break
        assert process.wait() == 0
    os.close(parent)
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode())


@pytest.fixture
def long_name(catalogue: Path) -> str:
    """A model whose id and number of parameters are as long as those of models that exist."""
    model_id = "fashion_mnist/resnet_thresholded-seed12"
    shutil.copytree(catalogue / SMALL_ID, catalogue / model_id)
    write_card(make_card(id=model_id, parameters=13_579_246), catalogue / model_id / "card.json")
    return model_id


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_list_cuts_nothing_in_a_terminal(long_name: str, columns: int) -> None:
    text = in_terminal(columns, "list")
    assert "…" not in text
    assert re.search(rf"^{long_name} .*—  +13,579,246", text, flags=re.MULTILINE)
    assert ("A. Nobody 2021" in text) == (columns == 200)
    if columns >= 80:
        assert max(map(len, text.splitlines())) <= columns


def test_list_cuts_nothing_in_a_pipe(long_name: str) -> None:
    text = run_zoo("list").stdout
    assert re.search(rf"^{long_name} .* 13,579,246  A. Nobody 2021$", text, flags=re.MULTILINE)
    assert "…" not in text


@pytest.mark.usefixtures("catalogue")
def test_list_is_filtered_and_sorted() -> None:
    result = run_zoo("list", "--data=cifar10")
    assert result.returncode == 0
    assert SMALL_ID not in result.stdout
    assert SMALL_ID in run_zoo("list", "--data=mnist", "--sort_by=robust_accuracy").stdout
    assert_refused(run_zoo("list", "--data=mnits"), 1, "must be one of cifar10, ", "Received: 'mnits'.")
    assert_refused(run_zoo("list", "--sort_by=age"), 2, "<id|clean_accuracy|robust_accuracy|minimal_accuracy|parameters>")
    assert_refused(run_zoo("list", "--page=missing.md"), 1, "Expected a Markdown page with a section ranking at missing.md")
    assert_refused(run_zoo("list", "mnist"), 2, "Expected flags only, as in --data=mnist. Received: mnist.")


ODD_AUTHORS = ["[/red] A. Nobody", "[bold]", "\x1b[2Jgone", "名前", "\ud800"]


@pytest.mark.parametrize("authors", ODD_AUTHORS)
def test_odd_names_are_shown_as_they_are(catalogue: Path, authors: str) -> None:
    card = make_card(id="mnist/odd", paper={"title": "A", "authors": authors, "year": 2020, "url": ""})
    (catalogue / "mnist" / "odd").mkdir()
    (catalogue / "mnist" / "odd" / "card.json").write_text(json.dumps(dataclasses.asdict(card)))
    result = run_zoo("list")
    assert result.returncode == 0, result.stderr
    assert SMALL_ID in result.stdout
    assert "\x1b" not in result.stdout
    if authors.isprintable():
        assert f"{authors} 2020" in result.stdout


def test_list_goes_on_after_a_broken_card(catalogue: Path) -> None:
    for name, content in [("a", "{"), ("z", "[" * 10_000)]:
        (catalogue / "mnist" / name).mkdir()
        (catalogue / "mnist" / name / "card.json").write_text(content)
    result = run_zoo("list")
    assert result.returncode == 0
    assert SMALL_ID in result.stdout
    for name in ("a", "z"):
        assert f"Left out: Expected a JSON model card in {catalogue / 'mnist' / name / 'card.json'}" in result.stderr


@pytest.mark.parametrize("content", ["{", '{"schema_version": 1}'])
def test_list_of_nothing_but_a_malformed_card(catalogue: Path, content: str) -> None:
    (catalogue / SMALL_ID / "card.json").write_text(content)
    assert_refused(run_zoo("list"), 1, "card.json", "Received: none that can be read.")


def test_another_catalogue(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", "/nowhere")
    for arguments in (["list"], ["card", SMALL_ID], ["verify"]):
        assert_refused(run_zoo(*arguments), 1, "/nowhere")
        result = run_zoo(*arguments, f"--catalogue={published}")
        assert result.returncode == 0, result.stderr
        assert SMALL_ID in result.stdout
    printed = run_zoo("card", str(published / SMALL_ID)).stdout
    # What the page says works in this catalogue.
    assert f'cz.load_model("{published / SMALL_ID}")' in printed
    assert f"cortexzoo evaluate --model={published / SMALL_ID} " in printed


@pytest.mark.usefixtures("catalogue")
def test_card() -> None:
    page = render_card(cz.model_card(SMALL_ID)) + "\n"
    for arguments in ([SMALL_ID], [f"--model={SMALL_ID}"]):
        result = run_zoo("card", *arguments)
        assert (result.returncode, result.stdout) == (0, page)
    values = json.loads(run_zoo("card", SMALL_ID, "--format=json").stdout)
    assert values == dataclasses.asdict(cz.model_card(SMALL_ID))
    assert json.loads(run_zoo("card", SMALL_ID, SMALL_ID, "--format=json").stdout) == [values, values]


@pytest.mark.usefixtures("catalogue")
def test_card_that_makes_no_page() -> None:
    values = dataclasses.asdict(cz.model_card(SMALL_ID)) | {"training": {}}
    (catalog.root() / SMALL_ID / "card.json").write_text(json.dumps(values))
    assert_refused(run_zoo("card", SMALL_ID), 1, f"Expected a complete card of {SMALL_ID}", "seconds")


@pytest.mark.parametrize("arguments", ["list", "card mnist/small mnist/small", "list --help", "", "card mnist/smal"])
@pytest.mark.usefixtures("catalogue")
def test_a_closed_pipe_is_no_traceback(arguments: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m cortexzoo {arguments} | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr
    assert result.returncode in (0, 1, 141)


def test_a_pipe_that_broke_elsewhere_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError, match="a worker"), console.terminal():
        raise BrokenPipeError("a worker")
    assert capfd.readouterr().out == ""


def test_verify(catalogue: Path) -> None:
    result = run_zoo("verify")
    summary = "Checked 1 model: 1 intact, with 4 files; 0 broken."
    assert (result.returncode, result.stdout) == (0, f"{SMALL_ID}: 4 files as on the card\n{summary}\n")
    path = catalogue / SMALL_ID / "1" / "saved_model.pb"
    path.write_bytes(path.read_bytes() + b"\0")
    for arguments in ([], [SMALL_ID], [f"--model={SMALL_ID}"]):
        result = run_zoo("verify", *arguments)
        assert_refused(result, 1, str(path))
        assert result.stdout == "Checked 1 model: 0 intact, with 0 files; 1 broken.\n"


def test_verify_goes_on_after_a_broken_model(catalogue: Path) -> None:
    for name in ("a", "z"):
        shutil.copytree(catalogue / SMALL_ID, catalogue / "mnist" / name)
        card = dataclasses.replace(cz.model_card(SMALL_ID), id=f"mnist/{name}")
        write_card(card, catalogue / "mnist" / name / "card.json")
        (catalogue / "mnist" / name / "1" / "saved_model.pb").write_bytes(b"")
    (catalogue / "mnist" / "b").mkdir()
    (catalogue / "mnist" / "b" / "card.json").write_text("{")
    result = run_zoo("verify")
    lines = [f"{SMALL_ID}: 4 files as on the card", "Checked 4 models: 1 intact, with 4 files; 3 broken."]
    assert result.stdout.splitlines() == lines
    parts = ["The files of mnist/a are not", "The files of mnist/z are not", str(catalogue / "mnist" / "b" / "card.json")]
    assert_refused(result, 1, *parts)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_verify_of_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("")
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(path))
    assert_refused(run_zoo("verify"), 1, f"Checked 0 models: there is none in {path}.")
    assert_refused(run_zoo("list"), 1, f"Expected models in {path}.")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["card"], 2, "Expected a model, as in `cortexzoo card mnist/dim`. Received: none."),
        (["card", "mnist/smal"], 1, "Close matches: mnist/small."),
        (["verify", "mnist/smal"], 1, "Close matches: mnist/small."),
        (["verify", "--data=mnist"], 2, "cortexzoo verify: Unknown command line flag 'data'."),
        (["verify", "--format=json"], 2, "Unknown command line flag 'format'"),
        (["list", "--dat=mnist"], 2, "Unknown command line flag 'dat'. Did you mean: data"),
        (["card", SMALL_ID, "--format=csv"], 2, "value should be one of <markdown|json>"),
        (["serve-check"], 2, "Expected --model=ID or --model=BASE_PATH. Received: none."),
        (["serve-check", "mnist/small"], 2, "Expected flags only, as in --model=mnist/dim. Received: mnist/small."),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_errors(arguments: list[str], code: int, message: str) -> None:
    assert_refused(run_zoo(*arguments), code, message)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of an exported model that no test changes."""
    base = tmp_path_factory.mktemp("served") / "mine"
    model = create_model("DenoisedInternalModels", {"denoiser_widths": [8], "internal_widths": [8, 4]})
    cz.export_model(model, base / "1")
    return base


@pytest.fixture
def base(exported: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break."""
    return Path(shutil.copytree(exported, tmp_path / "mine"))


def failures(name: str | Path) -> dict[str, str]:
    return {check: found for check, passed, found in serve_check.check(str(name)) if not passed}


def test_what_is_exported_can_be_served(exported: Path) -> None:
    checks = {check: found for check, passed, found in serve_check.check(str(exported)) if passed}
    assert list(checks) == ["versions", "graph", "loads", "signature", "logits", "warm-up"]
    assert checks["signature"] == "serving_default(image: float32 (None, 28, 28, 1)), any batch"
    assert checks["logits"] == "10 classes; outputs label, logits, probabilities"
    assert checks["warm-up"] == "2 requests, with 1, 32 images"


def test_serve_check_from_the_shell(catalogue: Path) -> None:
    result = run_zoo("serve-check", f"--model={SMALL_ID}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(" ok ") == 7
    (catalogue / SMALL_ID / "2").mkdir()
    result = run_zoo("serve-check", f"--model={catalogue / SMALL_ID}", "--format=json")
    assert result.returncode == 1
    assert [f["check"] for f in json.loads(result.stdout) if not f["passed"]] == ["graph"]


def test_the_newest_version_counts_and_other_folders_do_not(base: Path) -> None:
    for name in ("latest", "assets"):
        (base / name).mkdir()
    shutil.copytree(base / "1", base / "10")
    shutil.copytree(base / "1", base / "9")
    found = {check: found for check, passed, found in serve_check.check(str(base)) if passed}
    assert found["versions"] == "1, 9, 10; 10 would be served; the server ignores the folders assets, latest"
    (base / "11").mkdir()
    assert f"{base / '11' / 'saved_model.pb'} is no SavedModel" in failures(base)["graph"]


def test_paths_that_are_no_base_path(base: Path, tmp_path: Path) -> None:
    assert f"this is a version, not a base path. Pass its parent: --model={base}" in failures(base / "1")["versions"]
    assert "no folder with an integer as its name" in failures(tmp_path)["versions"]
    assert "neither a folder nor a model of the catalogue" in failures(tmp_path / "nowhere")["model"]


def test_damaged_versions_fail(base: Path) -> None:
    (base / "1" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"12345")
    assert list(failures(base)) == ["warm-up"]
    shutil.rmtree(base / "1" / "assets.extra")
    assert "the first requests would be slow" in failures(base)["warm-up"]
    next((base / "1" / "variables").glob("*data*")).write_bytes(b"")
    assert "TensorFlow cannot load" in failures(base)["loads"]
    (base / "1" / "saved_model.pb").write_bytes(b"no protocol buffer")
    assert list(failures(base)) == ["graph"]


def save_function(path: Path, shape: tuple[int | None, ...], function: object, name: str = "image") -> Path:
    """Writes a SavedModel of a function from images and returns its base path."""
    module = tf.Module()
    module.run = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name)])
    tf.saved_model.save(module, str(path / "1"), signatures={"serving_default": module.run})
    return path


def logits_of(image: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"logits": tf.reduce_mean(image, axis=(1, 2))}


def test_other_signatures_fail(tmp_path: Path) -> None:
    images = (None, 4, 4, 3)
    cases = {
        "fixed": (save_function(tmp_path / "fixed", (1, 4, 4, 3), logits_of), "signature", "batches of 1 only"),
        "any size": (save_function(tmp_path / "any", (None, None, None, 3), logits_of), "signature", "of a fixed height"),
        "name": (save_function(tmp_path / "name", images, lambda x: logits_of(x), "x"), "signature", "received x: float32"),
        "output": (save_function(tmp_path / "out", images, lambda image: {"y": image}), "logits", "no output `logits`"),
        "rank": (save_function(tmp_path / "rank", images, lambda image: {"logits": image}), "logits", "received shape"),
        "NaN": (
            save_function(tmp_path / "nan", images, lambda image: {"logits": image[:, 0, 0] * np.nan}),
            "logits",
            "expected finite logits",
        ),
    }
    for name, (path, check, message) in cases.items():
        assert message in failures(path)[check], name


def test_python_in_the_graph_fails(tmp_path: Path) -> None:
    def call(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": tf.numpy_function(lambda values: values.mean(axis=(1, 2)), [image], tf.float32)}

    path = save_function(tmp_path / "python", (None, 4, 4, 3), call)
    assert "it calls Python (PyFunc), which the server does not have" in failures(path)["graph"]
