"""`karat audit`: what is wrong with these preferences (`data`), and what a reward wrongly pays for (`reward`)."""
