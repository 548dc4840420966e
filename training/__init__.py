"""How the models of the zoo come to be: recipes, Keras fit loops, and publishing into the catalogue."""
