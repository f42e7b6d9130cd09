"""Write the README's table of settings from the configuration, or check that it is up to date (`--check`)."""

from __future__ import annotations

import sys
from pathlib import Path

from tui_trainer.config import SETTINGS, TABLES

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- settings: made by scripts/docs.py -->", "<!-- settings end -->"


def table_of_settings() -> str:
    """A Markdown table for each TOML table."""
    parts: list[str] = []
    for table, cls in TABLES.items():
        parts += [
            f"**`[{table}]`** {cls.__doc__ or ''}".rstrip(),
            "",
            "| flag | key | default | what |",
            "|---|---|---|---|",
        ]
        for item in SETTINGS.values():
            if item.table == table:
                flag = f"`-{item.short}` `{item.flag}`" if item.short else f"`{item.flag}`"
                default = f"`{item.to_text(item.default)}`" if item.to_text(item.default) else ""
                choices = " \\| ".join(f"`{c}`" for c in item.choices)
                unit = f" ({item.unit})" if item.unit else ""
                what = f"{item.help}{unit}" + (f" {choices}" if choices else f" {item.bounds}" if item.bounds else "")
                parts.append(f"| {flag} | `{item.name}` | {default} | {what} |")
        parts.append("")
    return "\n".join(parts)


def with_table(text: str) -> str:
    """The README with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table_of_settings()}\n{END}{after}"


def main() -> int:
    """Write it, or compare."""
    text = README.read_text("utf-8")
    made = with_table(text)
    if "--check" in sys.argv:
        if made != text:
            print("README.md: the table of settings is out of date; run `make docs`.", file=sys.stderr)
        return int(made != text)
    README.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
