"""Short trainings around the published settings of the similarity regulariser: validation accuracy, clean and under noise.

  python -m cortexzoo.training.studies.similarity_grid threshold --set=epochs=1        strength times threshold
  python -m cortexzoo.training.studies.similarity_grid pairs --set=epochs=1            pairs a step
  python -m cortexzoo.training.studies.similarity_grid images --set=epochs=1           size of the regularisation set
  python -m cortexzoo.training.studies.similarity_grid sets --set=epochs=1    pairs of Fashion-MNIST for MNIST, and back

Every grid has the plain network beside it. Run a command again after a kill and it resumes; all grids go into one table,
which --page=docs/similarity.md puts there as well. Training reads the train and validation splits only.
"""

import sys
from pathlib import Path

from absl import app, flags
from cortexzoo.startup import configure_tensorflow

_DATASET = flags.DEFINE_string("dataset", "fashion_mnist", "Data set of all grids but `sets`.")
_SET = flags.DEFINE_multi_string("set", [], "Change a value of the config: --set=name=value, value as JSON. Repeatable.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder of checkpoints and logs, one folder a recipe and config in it.")
_OUTPUT = flags.DEFINE_string("output", "results/similarity_grid.csv", "The table.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `similarity grids` is written anew.")
_FIGURES = flags.DEFINE_string("figures", "docs/figures/similarity", "Folder for the page's figures.")


def main(arguments: list[str]) -> None:
    """Runs the grid that the first argument names."""
    if len(arguments) != 2:
        received = " ".join(arguments[1:]) or "none"
        raise app.UsageError(f"Expected one grid, as in `threshold`. Received: {received}.")
    configure_tensorflow("2")
    from cortexzoo.sections import replace_section
    from cortexzoo.training.studies.similarity_grid import read_rows, run_grid, update_grid_page

    try:
        if _PAGE.value:
            # Before anything is trained.
            replace_section(Path(_PAGE.value), "similarity grids", None)
        path = run_grid(arguments[1], _DATASET.value, _SET.value, Path(_WORKDIR.value), Path(_OUTPUT.value))
        print(path)
        if _PAGE.value:
            update_grid_page(read_rows(path), Path(_PAGE.value), Path(_FIGURES.value))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
