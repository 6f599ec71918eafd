"""An agent over the rows of a table: `praison_nb.map`."""
