"""The screens. No torch at import time."""
