"""Other tools' ways of asking; none of them is imported here."""
