"""``python -m rflib``: see `rflib.cli`."""

from rflib.cli import main

if __name__ == "__main__":
    raise SystemExit(main(prog="python -m rflib"))
