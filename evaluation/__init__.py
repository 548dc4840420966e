"""How robust a SavedModel is: attacks, a store of per-sample distances, honest tables. Knows no model class."""


def command_line() -> None:
    """Entry point of the console script `zoo-evaluate`: the same as `python -m evaluation`."""
    import runpy

    runpy.run_module("evaluation", run_name="__main__", alter_sys=True)
