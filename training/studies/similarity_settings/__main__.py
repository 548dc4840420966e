"""Short trainings around the published settings of the similarity regulariser.

Examples:
  cortexzoo study similarity_settings --grid=threshold --set=epochs=1
  cortexzoo study similarity_settings --set=epochs=1 \\
      --output=docs/figures/similarity --page=docs/similarity.md

Grids: `threshold` (strength by threshold), `pairs` (pairs a step), `images` (size of the regularisation set) and `sets`
(pairs of Fashion-MNIST for MNIST, and the reverse). Each has the plain network beside it; all of them go into one table,
grids.csv. The same command resumes after a kill.
"""

from pathlib import Path

from absl import flags

from cortexzoo.console import run
from cortexzoo.training.preparation import prepare, refusals

_GRID = flags.DEFINE_multi_enum("grid", [], ["threshold", "pairs", "images", "sets"], "A grid. By default all.")
_DATA = flags.DEFINE_string("data", "fashion_mnist", "Data set of all grids but `sets`.")
_SET = flags.DEFINE_multi_string("set", [], "Change a setting: --set=name=value, the value as JSON or text.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Folder for checkpoints and logs, one folder for each recipe and config.")
_OUTPUT = flags.DEFINE_string("output", "runs/studies/similarity_settings", "Folder for the table and the figures.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `similarity grids` is written anew.")


def main(arguments: list[str]) -> None:
    """Fills the table, draws the figures and writes the section of the page."""
    with refusals():
        output = prepare(arguments, _OUTPUT.value, _PAGE.value, "similarity grids")
        # Imported late: help and refusals need no framework.
        from cortexzoo.training.studies.similarity_settings.figures import write_grid_figures
        from cortexzoo.training.studies.similarity_settings.grids import GRIDS, grid_runs, run_grid
        from cortexzoo.training.studies.similarity_settings.page import update_page
        from cortexzoo.training.studies.similarity_settings.table import MEASURED, read_rows

        path, grids = output / "grids.csv", _GRID.value or GRIDS
        for grid in grids:
            grid_runs(grid, _DATA.value, _SET.value)
        for grid in grids:
            run_grid(grid, _DATA.value, _SET.value, Path(_WORKDIR.value), path)
        print("\n".join(map(str, [path, *write_grid_figures(read_rows(path), MEASURED, output)])))
        if _PAGE.value:
            update_page(read_rows(path), Path(_PAGE.value), output)


if __name__ == "__main__":
    run(main, "cortexzoo study similarity_settings")
