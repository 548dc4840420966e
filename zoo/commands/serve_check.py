"""Checks that TensorFlow Serving can serve a model.

  cortexzoo serve-check --model=mnist/dim             a model of the catalogue
  cortexzoo serve-check --model=models/mine           your own, by its base path
  cortexzoo serve-check --model=models/mine --format=json

A base path is a folder of versions, such as models/mine/1: the server takes the
highest number. It is loaded here, its signature runs, and its warm-up requests
are replayed. The exit code is 1 if a check fails.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import app, flags, logging
from rich.table import Table
from rich.text import Text

from cortexzoo import catalog
from cortexzoo.console import print_table, run
from cortexzoo.startup import configure_tensorflow

_MODEL = flags.DEFINE_multi_string("model", [], "Id of a model in the catalogue, or a base path.")
_FORMAT = flags.DEFINE_enum("format", "table", ("table", "json"), "What is printed.")


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        model: id or path.
        check: what was looked at.
        passed: whether the server can do with it.
        found: what there was, and where it fails what to do.
    """

    model: str
    check: str
    passed: bool
    found: str


def main(arguments: list[str]) -> None:
    """Checks the models that the flags name."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --model=mnist/dim. Received: {' '.join(arguments[1:])}.")
    if not _MODEL.value:
        raise app.UsageError("Expected --model=ID or --model=BASE_PATH. Received: none.")
    configure_tensorflow()
    logging.set_verbosity(logging.WARNING)
    findings = [Finding(name, *finding) for name in _MODEL.value for finding in check(name)]
    if _FORMAT.value == "json":
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    sys.exit(0 if all(finding.passed for finding in findings) else 1)


def check(name: str) -> Iterator[tuple[str, bool, str]]:
    """Yields check, verdict and finding, until a check fails that the others rest on.

    Args:
        name: id of a model in the catalogue, or a base path.
    """
    try:
        base = catalog.model_directory(name)
    except ValueError as error:
        base = Path(name)
        if not base.is_dir():
            yield "model", False, f"neither a folder nor a model of the catalogue. {error}"
            return
    if (base / "card.json").is_file():
        yield _check_digests(base)
    yield (found := _check_versions(base))
    if found[1]:
        from cortexzoo.commands.served_version import check_version

        yield from check_version(base / _newest(base))


def _check_digests(base: Path) -> tuple[str, bool, str]:
    try:
        card = catalog.verify(str(base))
    except (ValueError, catalog.IntegrityError) as error:
        return "files", False, str(error)
    return "files", True, f"{len(card.files)} files as on the card"


def _check_versions(base: Path) -> tuple[str, bool, str]:
    """The server takes every folder whose name is a number for a version, and looks at no other."""
    if (base / "saved_model.pb").is_file():
        return "versions", False, f"this is a version, not a base path. Pass its parent: --model={base.parent}"
    names = sorted(path.name for path in base.iterdir() if path.is_dir())
    versions, others = [name for name in names if name.isdecimal()], [name for name in names if not name.isdecimal()]
    ignored = f"; the server ignores the folders {', '.join(others)}" if others else ""
    if not versions:
        return "versions", False, f"no folder with an integer as its name, such as {base / '1'}{ignored}"
    return "versions", True, f"{', '.join(sorted(versions, key=int))}; {_newest(base)} would be served{ignored}"


def _newest(base: Path) -> str:
    return max((path.name for path in base.iterdir() if path.is_dir() and path.name.isdecimal()), key=int)


def _print_table(findings: list[Finding]) -> None:
    table = Table("model", "check", "", "found", box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        verdict = Text("ok", "green") if finding.passed else Text("FAILS", "bold red")
        table.add_row(Text(finding.model, overflow="fold"), finding.check, verdict, Text(finding.found, overflow="fold"))
    print_table(table)


if __name__ == "__main__":
    run(main, "cortexzoo serve-check")
