"""`python -m sightline` is the same as `sightline`; torchrun starts its processes this way."""

from sightline.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
