"""The history of the tables: one numbered file for each step, never edited once released."""
