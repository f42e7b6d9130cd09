"""Weight files: reading without running, matching, loading."""
