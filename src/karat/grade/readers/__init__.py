"""Task files of every format to tasks, and candidates to candidates, with an account of what was dropped."""
