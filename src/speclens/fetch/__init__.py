"""Survey files from the archives: what is wanted, where it is, the files whole or not at all."""
