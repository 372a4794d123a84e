"""Evidence of tampering: a table of techniques, and the observers that see them."""
