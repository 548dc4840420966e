"""Analyses look into models and write figures and CSV files: `cortexzoo analyze NAME`.

An analysis is one file here. Its docstring is its help text, and the first line its entry in the list of analyses. Its
function `analyse(model, samples, directory)` writes the files and returns their paths. Its parameters decide which flags it
takes:

- `model`: --model, with one call per model; `models`: --model, all in one call, to compare them; or neither;
- `samples`: --samples; `directory`: --output;
- optionally `data: str | None = None`: --data; `seed: int = 0`: --seed; `page: str | None = None`: --page.
"""
