"""Analyses look into models and write figures and CSV files: `cortexzoo analyze NAME`.

An analysis is one file here. Its docstring is its help, and the first line its entry in the list of analyses. Its function
`analyse(model, samples, directory)` writes the files and returns their paths. The parameters tell which flags it takes:

- `model`: one of --model; the function is called once for each. `models`: all of them, to compare; or neither;
- `samples`: --samples, `directory`: --output;
- `data: str | None = None`: --data, and `seed: int = 0`: --seed, where it makes use of them.
"""
