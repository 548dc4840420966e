"""What all commands share: help that teaches by example, absl's flags, and errors that are a sentence.

A command is a module with a docstring, flags and `main(arguments)`. Its last lines are

    if __name__ == "__main__":
        run(main, "cortexzoo NAME")

Exit codes: 0 for success, 1 where a check fails or something is refused, 2 where the command line is not understood.
"""

import ast
import contextlib
import difflib
import importlib
import io
import itertools
import os
import re
import select
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

USAGE_ERROR = 2
# What a shell reports of programs that Ctrl-C or a closed pipe ended.
_INTERRUPTED, _CLOSED_PIPE = 130, 141
_HELP = ("--help", "-help", "-h", "-?", "--helpshort")


def run(
    main: Callable[[list[str]], object], program: str, arguments: Sequence[str] | None = None, doc: str | None = None
) -> None:
    """Parses the flags of a command and runs it; does not return.

    Args:
        main: the command. It is given what absl gives: the program and the arguments that are no flags.
        program: its name for people, such as "cortexzoo evaluate".
        arguments: flags and arguments. Defaults to those of the process.
        doc: what `--help` prints before the flags. Defaults to the docstring of main's module.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if _asks_for_help(arguments):
        _show(command_help(main, doc))

    def guarded(remaining: list[str]) -> object:
        with terminal():
            try:
                return main(remaining)
            except app.UsageError as error:
                refuse(program, str(error))
            except KeyboardInterrupt:
                print(f"{program}: interrupted.", file=sys.stderr)
                sys.exit(_INTERRUPTED)

    app.run(guarded, argv=[program, *arguments], flags_parser=_parse)


def choose(program: str, commands: Mapping[str, str], arguments: Sequence[str], doc: str) -> tuple[str, list[str]]:
    """Returns the command that the first argument names, and the other arguments.

    Without a name, or where help is asked for, it prints the commands and exits; `help NAME` stands for `NAME --help`.

    Args:
        program: the program's name for people.
        commands: the docstring of each command, or its first line.
        arguments: what follows the program's name.
        doc: its first line stands above the list of commands, the rest below.
    """
    name, *rest = arguments or ["--help"]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in commands:
        return name, rest
    if name == "help" or name in _HELP:
        _show(overview(commands, doc))
    close = difflib.get_close_matches(name, commands, n=3, cutoff=0.5)
    hint = f"Did you mean: {', '.join(close)}?" if close else f"Known: {', '.join(commands)}."
    refuse(program, f"Expected a command. Received: {name!r}. {hint}")


def discover(package: str) -> dict[str, str]:
    """Returns the modules of a package, and its packages that run as programs, with their docstrings.

    Nothing but the package itself is imported. Names that begin with an underscore are left out.
    """
    found = {}
    for folder in importlib.import_module(package).__path__:
        for path in sorted(Path(folder).glob("[!_]*")):
            source = path / "__main__.py" if path.is_dir() else path
            if source.suffix == ".py" and source.is_file():
                found[path.stem] = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return found


def refuse(program: str, message: str) -> None:
    """Says on stderr why the command line was not understood, and exits with `USAGE_ERROR`."""
    print(f"{program}: {message}\n`{program} --help` explains it by examples.", file=sys.stderr)
    sys.exit(USAGE_ERROR)


def overview(commands: Mapping[str, str], doc: str) -> str:
    """Returns a list of commands and the first lines of their docstrings, between the first line of `doc` and its rest."""
    title, _, rest = doc.strip().partition("\n")
    width = max(map(len, commands), default=0) + 2
    summaries = {name: text.strip().partition("\n")[0].removesuffix(".") for name, text in commands.items()}
    lines = [
        textwrap.fill(f"  {name:{width}}{summary}", _help_width(), subsequent_indent=" " * (width + 2))
        for name, summary in summaries.items()
    ]
    return "\n".join([title, "", *lines, "", _fit(rest.strip("\n"))])


def command_help(main: Callable[[list[str]], object], doc: str | None = None) -> str:
    """Returns the docstring of a command's module and its own flags, without those that absl defines."""
    text = _fit((doc or sys.modules[main.__module__].__doc__ or "").strip())
    # absl files the flags of a module that runs as a program under the program's path.
    key = sys.argv[0] if main.__module__ == "__main__" else main.__module__
    own = flags.FLAGS.flags_by_module_dict().get(key, [])
    return "\n".join([text, *(["", "Flags:", *map(_flag_help, own)] if own else [])])


def print_table(table: "Table", narrow: "Table | None" = None) -> None:
    """Prints a table without cutting a cell.

    Args:
        table: a table of rich. In a file or a pipe its lines are as long as they need to be.
        narrow: what is printed instead in a terminal that is too narrow for `table`.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_width(table), highlight=False)
        _print_lines(console, table)
        return
    if narrow is not None and _width(table) > console.width:
        table, console = narrow, Console(width=max(console.width, _width(narrow)), highlight=False)
    console.print(table)


def print_report(report: "RenderableType") -> None:
    """Prints what fits itself to the width of the terminal; a pipe or a file has no width, and gets 80 columns or more."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        console.print(report)
    else:
        _print_lines(Console(width=max(console.width, 80)), report)


def _print_lines(console: "Console", report: "RenderableType") -> None:
    """Prints to a pipe or a file: without the spaces that fill up a table."""
    with console.capture() as captured:
        console.print(report)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _width(table: "Table") -> int:
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=100_000)
    return Measurement.get(console, console.options, table).maximum


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Within it a reader that closes the pipe, such as `head`, ends the program without a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal can show "L∞".
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_closed(sys.stdout.fileno()):
            raise
        # What is still to be written has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED_PIPE)


def _is_closed(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def _show(text: str) -> None:
    with terminal():
        print(text)
    sys.exit(0)


def _asks_for_help(arguments: list[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(argument in _HELP for argument in before)


def _parse(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        refuse(arguments[0], str(error))


def _fit(text: str) -> str:
    """Fills paragraphs to the width of the screen, and leaves indented lines, which are commands, as they are."""
    groups = itertools.groupby(text.splitlines(), lambda line: line[:1] not in ("", " "))
    return "\n".join(line for is_prose, lines in groups for line in (_fill(lines) if is_prose else lines))


def _fill(lines: Iterable[str]) -> Iterator[str]:
    # Each item of a list is a paragraph of its own.
    for paragraph in re.split(r" (?=- )", " ".join(lines)):
        indent = "  " if paragraph.startswith("- ") else ""
        yield from textwrap.wrap(paragraph, _help_width(), subsequent_indent=indent, break_on_hyphens=False)


def _help_width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, 100)


def _flag_help(flag: flags.Flag) -> str:
    choices = getattr(flag.parser, "enum_values", None)
    value = "" if flag.boolean else f"={'|'.join(choices) if choices else 'VALUE'}"
    # absl puts the values of an enum before the help, and behind it that a flag may be repeated.
    text = re.sub(r";\s+repeat this option .*", "", flag.help or "").removeprefix(f"<{'|'.join(choices or [])}>: ")
    notes = ["repeatable"] if isinstance(flag, flags.MultiFlag) else []
    if flag.default is not None and flag.default is not False and flag.default != []:
        notes.append(f"default: {','.join(flag.default) if isinstance(flag.default, list) else flag.default}")
    text += f" ({'; '.join(notes)})" if notes else ""
    indent = " " * 6
    return f"  --{flag.name}{value}\n{textwrap.fill(text, _help_width(), initial_indent=indent, subsequent_indent=indent)}"
