"""Special-casing: inputs that the author of a candidate cannot have seen."""
