"""Lists the suites of attacks and shifts with their members and settings.

  cortexzoo suites                       with the thresholds of MNIST
  cortexzoo suites --data=cifar10        with those of another data set

Results are stored under these settings.
"""

from absl import app, flags

from cortexzoo import datasets
from cortexzoo.console import run
from cortexzoo.startup import configure_tensorflow

_DATA = flags.DEFINE_enum("data", "mnist", list(datasets.DATASETS), "Data set whose thresholds are shown.")


def main(arguments: list[str]) -> None:
    """Prints the suites."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --data=mnist. Received: {' '.join(arguments[1:])}.")
    configure_tensorflow()
    from cortexzoo.evaluation import suites

    print(suites.outline(datasets.info(_DATA.value)))


if __name__ == "__main__":
    run(main, "cortexzoo suites")
