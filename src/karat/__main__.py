"""`python -m karat` is the `karat` command."""

from karat.cli.main import run

if __name__ == "__main__":
    run()
