"""`python -m tui_trainer` is `tui-trainer`."""

import sys

from tui_trainer.cli import main

if __name__ == "__main__":
    sys.exit(main())
