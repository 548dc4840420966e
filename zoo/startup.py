"""How TensorFlow is started: what it logs, and which kernels it takes on CPUs."""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from cortexzoo.import_hooks import run_around_import

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# TensorFlow's C++ log, such as "I0000 00:00:1795966171.552040    4104 port.cc:153] oneDNN custom operations are on."
_LOG_LINE = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ \S+:\d+\] |WARNING: All log messages before absl::InitializeLog|To enable the following instr"
)
# The level that was set here, to tell it from one that the user has set.
_own_level: str | None = None


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's C++ log off the screen, unless the user has asked for it by TF_CPP_MIN_LOG_LEVEL."""
    if _LOG_LEVEL not in os.environ:
        set_log_level("3")
    if os.environ[_LOG_LEVEL] != "0":
        # TensorFlow 2.21 writes some notes at any level while it is imported.
        run_around_import("tensorflow", without_log_lines)


def set_log_level(level: str) -> None:
    """Sets which messages of TensorFlow's C++ log are dropped, unless the user has; to be called before it is imported.

    Args:
        level: "0" none, "1" notes, "2" all but errors, "3" errors too, among them that there is no GPU. What goes wrong in a
            computation is raised as a Python exception at any level.
    """
    global _own_level
    if os.environ.get(_LOG_LEVEL) == _own_level:
        os.environ[_LOG_LEVEL] = _own_level = level


def configure_tensorflow(log_level: str = "3") -> None:
    """Sets TensorFlow's environment for a command, where the user has not; to be called before TensorFlow is imported.

    Args:
        log_level: see `set_log_level`.
    """
    set_log_level(log_level)
    # By itself TensorFlow takes oneDNN's matrix products and convolutions only on CPUs with AVX-512 VNNI or AMX. They are
    # faster with AVX2 alone as well, most of all on few images.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)


@contextlib.contextmanager
def without_log_lines() -> Iterator[None]:
    """Keeps what is written to standard error, and in the end passes on all but lines of TensorFlow's C++ log."""
    try:
        standard_error = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            kept.seek(0)
            for line in kept:
                if not _LOG_LINE.match(line):
                    os.write(2, line)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    """Drops the warning of retracing: TensorFlow takes all functions made by one line of code for one, traced again."""
    return "triggered tf.function retracing" not in record.getMessage()
