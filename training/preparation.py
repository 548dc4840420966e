"""What programs do before their work: find out what would fail after it, and say so in a sentence."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import absl.logging
from absl import app

from cortexzoo.catalog import IntegrityError
from cortexzoo.datasets.base import DatasetNotFoundError, DatasetUnavailableError
from cortexzoo.sections import replace_section
from cortexzoo.startup import configure_tensorflow
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.publishing import check_writable


def prepare(arguments: list[str], output: str, page: str | None = None, section: str = "") -> Path:
    """Checks where a study writes, and returns its output as a path.

    Args:
        arguments: those of `main`; flags alone are expected.
        output: the folder or file of the flag --output.
        page: the Markdown page of the flag --page.
        section: name of the section of the page that the study writes.

    Raises:
        UsageError: there are arguments that are not flags.
        ConfigError: the output cannot be written, or the page has no such section.
    """
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    configure_logs()
    if not output:
        raise ConfigError("Expected a path for --output. Received: none.")
    check_writable(Path(output))
    if page:
        try:
            replace_section(Path(page), section, None)
        except (OSError, ValueError) as error:
            raise ConfigError(f"Expected a page with a section for --page. Received: {error}") from error
    return Path(output)


def configure_logs() -> None:
    """Prints what training reports, and keeps the reports of libraries to warnings and errors."""
    configure_tensorflow("2")
    # The data library reports every file that it opens, and TensorFlow every file that it writes.
    absl.logging.set_verbosity(absl.logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    ours = logging.getLogger("cortexzoo.training")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    if not ours.handlers:
        ours.addHandler(_Printer())


class _Printer(logging.Handler):
    """Prints to the standard output of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Ends the program with a sentence where a setting or a file is refused, or a training diverges."""
    try:
        yield
    except (ConfigError, IntegrityError, DatasetNotFoundError, DatasetUnavailableError, FloatingPointError) as error:
        sys.exit(str(error))
