"""Short trainings around the published settings of the similarity regulariser: a table, its page and its figures."""
