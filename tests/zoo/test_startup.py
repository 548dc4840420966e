"""How TensorFlow is started: what it logs, and that what a user has set stays."""

import os
import subprocess
import sys

import pytest

from cortexzoo import startup

_PROGRAM = """
from cortexzoo.startup import configure_tensorflow

configure_tensorflow()
import tensorflow as tf

for number in range(8):
    # One line of code, eight functions.
    tf.function(lambda x, number=number: x + number)(tf.zeros(2))
tf.get_logger().warning("something else")
"""


def test_functions_of_one_line_are_no_retracing() -> None:
    result = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    assert "retracing" not in result.stderr
    assert "something else" in result.stderr


def test_other_lines_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795966171.552040    4104 port.cc:153] oneDNN custom operations are on.",
        "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.",
        "Importing I0000 took long",
        "a warning of somebody else",
    ]
    with startup.without_log_lines():
        os.write(2, "\n".join(lines).encode())
    assert capfd.readouterr().err == "\n".join(lines[3:])


def test_standard_error_is_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        os.write(2, b"before\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), startup.without_log_lines():
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


@pytest.mark.parametrize(("users", "expected"), [(None, ["3", "2"]), ("0", ["0", "0"]), ("2", ["2", "2"])])
def test_log_level_of_the_user_stays(monkeypatch: pytest.MonkeyPatch, users: str | None, expected: list[str]) -> None:
    monkeypatch.setattr(startup, "_own_level", None)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", users or "")
    if users is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    received = []
    for level in ("3", "2"):
        startup.set_log_level(level)
        received.append(os.environ["TF_CPP_MIN_LOG_LEVEL"])
    assert received == expected
