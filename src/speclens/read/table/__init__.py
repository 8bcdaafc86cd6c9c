"""Tables of any format: survey catalogues, lists of published systems."""
