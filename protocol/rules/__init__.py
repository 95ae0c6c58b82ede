"""Price and rule bundles and their evaluation: integers only, no clock, no randomness."""
