"""``python -m scp`` is the command ``mpr-scp``."""

from scp.cli import main

if __name__ == "__main__":
    main()
