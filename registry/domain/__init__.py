"""What samespace talks about: frozen values, standard library only."""
