"""How the models of the zoo come to be: recipes, Keras fit loops, and publishing into the catalogue."""


def command_line() -> None:
    """Entry point of the console script `zoo-train`: the same as `python -m training`."""
    import runpy

    runpy.run_module("training", run_name="__main__", alter_sys=True)
