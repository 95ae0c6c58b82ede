"""Price and rule bundles: written, checked, signed, kept."""
