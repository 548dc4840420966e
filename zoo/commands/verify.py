"""Checks every file of pretrained models against the SHA-256 on their cards.

  cortexzoo verify                       all models
  cortexzoo verify mnist/dim mnist/cnn   some of them
  cortexzoo verify --catalogue=DIR       those of another catalogue

The exit code is 1 if a file is missing, changed or not on its card, if a card
cannot be read, and if there is nothing to check.
"""

import sys

from absl import flags

from cortexzoo import catalog
from cortexzoo.console import run

_MODELS = flags.DEFINE_multi_string("model", [], "Id or folder of a model: another way to name it.")
_CATALOGUE = flags.DEFINE_string("catalogue", None, f"Folder of models; by default ${catalog.VARIABLE} or those shipped.")


def main(arguments: list[str]) -> None:
    """Checks the models that the arguments name, all by default, and says how many there were."""
    names = [*arguments[1:], *_MODELS.value] or catalog.model_ids(_CATALOGUE.value)
    if not names:
        sys.exit(f"Checked 0 models: there is none in {catalog.root(_CATALOGUE.value)}.")
    files, problems = 0, []
    for name in names:
        try:
            found = len(catalog.verify(name, _CATALOGUE.value).files)
        except (ValueError, catalog.IntegrityError) as error:
            problems.append(str(error))
        else:
            files += found
            print(f"{name}: {found} files as on the card")
    intact, models = len(names) - len(problems), "1 model" if len(names) == 1 else f"{len(names)} models"
    print(f"Checked {models}: {intact} intact, with {files} files; {len(problems)} broken.")
    if problems:
        sys.exit("\n\n".join(problems))


if __name__ == "__main__":
    run(main, "cortexzoo verify")
