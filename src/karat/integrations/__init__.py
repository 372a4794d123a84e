"""karat inside other people's trainers, by the names that they call."""
