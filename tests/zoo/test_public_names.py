"""What `import cortexzoo` alone does: lazy names that type checkers see too, and classes that Keras knows."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cortexzoo as cz
from cortexzoo.models import MultilayerPerceptron

STUB = Path(__file__).parents[2] / "zoo" / "__init__.pyi"


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a program as a user would, without what the tests have set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=True)


def test_stub_has_the_public_names_and_their_homes() -> None:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.asname: node.module for node in imports for alias in node.names if alias.asname == alias.name}
    assert homes == cz._HOMES
    (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    assert names == cz.__all__ == sorted(homes)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = MultilayerPerceptron((4,), saturation_penalty=0.5, image_shape=(3, 3, 1))
    model.build()
    path = tmp_path_factory.mktemp("file") / "fine_tuned.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    "imports",
    [
        "import cortexzoo, sys; assert 'keras' not in sys.modules; import keras",
        "import keras, sys; import cortexzoo",
        # As libraries do that ask which others are installed.
        "import cortexzoo, importlib.util; importlib.util.find_spec('keras'); import tensorflow, keras",
    ],
    ids=["before keras", "after keras", "after a look for keras"],
)
def test_keras_files_load_after_the_import(imports: str, keras_file: Path) -> None:
    code = f"{imports}\nimport sys; print(type(keras.saving.load_model(sys.argv[1])).__name__)"
    assert run_python(code, keras_file).stdout.strip() == "MultilayerPerceptron"


def test_first_model_is_loaded_without_a_word() -> None:
    """TensorFlow says nothing, on a machine without a GPU either."""
    model_id = cz.list_models()[0].id
    result = run_python("import sys, cortexzoo as cz; cz.load_model(sys.argv[1])", model_id)
    assert (result.stdout, result.stderr) == ("", "")
