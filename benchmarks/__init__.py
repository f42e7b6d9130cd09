"""Speed, shown: every script runs both sides in turns and prints ratios."""
