"""Grading untrusted code that cannot reach its grader, and says when it tried."""
