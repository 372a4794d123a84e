"""What runs beside the candidate in a bare interpreter: standard library only, nothing secret."""
