"""One file, one kind of rule: it defines KIND, and its file name is its name."""
