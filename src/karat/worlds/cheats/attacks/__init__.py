"""Cheats around wrong solutions, by what they do. Texts only: nothing here is run by importing it."""
