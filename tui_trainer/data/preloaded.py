"""What the forkserver loads before it forks worker processes; nobody else imports this.

Frozen objects are not looked at by the garbage collector, whose first pass would otherwise make a
copy of all of PyTorch's in each worker: 34 MB, measured.
"""

import gc

import tui_trainer.data.datasets  # noqa: F401

gc.collect()
gc.freeze()
