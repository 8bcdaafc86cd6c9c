"""One file a verb of the command line: the order of the stages."""
