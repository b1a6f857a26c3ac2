"""`python -m mamba.cli` is `mambactl`."""

from mamba.cli import main

if __name__ == "__main__":
    main()
