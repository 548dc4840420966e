"""Commands on the catalogue: each module is one, with a docstring that is its help, flags and `main(arguments)`."""
