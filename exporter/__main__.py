"""``python -m exporter`` is the same as ``scheduler-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
