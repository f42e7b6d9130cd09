"""The building blocks of a page that is one file: safe text, tables, pictures inside, nothing loaded, no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from tui_trainer.text import display

# Even if a name found its way past `text`, a browser would run and load nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --line: #8884; --train: #2b7bba; --val: #d9822b; --bad: #c0392b; --good: #2e8b57; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: .2rem; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: .15rem .7rem .15rem 0;
text-align: left; vertical-align: top; overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; }
tr + tr td { border-top: 1px solid var(--line); } .muted { opacity: .65; } .scroll { overflow-x: auto; }
.charts, .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } .charts figure { flex: 1 1 460px; max-width: 640px; }
svg { width: 100%; font-size: 11px; } svg text { fill: currentColor; opacity: .7; } .grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.6; }
polyline.train { stroke: var(--train); } polyline.val { stroke: var(--val); }
circle.train { fill: var(--train); } circle.val { fill: var(--val); }
.key { display: inline-block; width: 1.2em; height: .25em; margin: 0 .3em 0 .8em; vertical-align: middle; }
.key.train { background: var(--train); } .key.val { background: var(--val); }
.matrix td, .matrix th { padding: .2rem .45rem; text-align: center; border: 1px solid var(--line); }
.matrix th { font-weight: normal; max-width: 9rem; } .matrix th.row { text-align: right; }
.picture { width: 150px; font-size: 12px; overflow-wrap: anywhere; }
.picture img { width: 150px; height: 150px; object-fit: contain; background: #8882; image-rendering: auto; }
.good { color: var(--good); } .bad { color: var(--bad); } code { overflow-wrap: anywhere; }
"""

_NUMBER = re.compile(r"-?[\d.,]+%?")
Cell = str | int | float
Pixels = npt.NDArray[np.uint8]


def text(value: object, limit: int = 200) -> str:
    """Anything from outside as text of a page: what a terminal or a browser would obey is made visible."""
    return escape(display(value, limit))


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page; `parts` are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title><style>{STYLE}</style></head>\n'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table of text and numbers; columns of numbers stand to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return ""
    right = [" class=n" * all(_NUMBER.fullmatch(row[i]) is not None for row in cells) for i in range(len(cells[0]))]
    head = "".join(f"<th{side}>{text(header)}</th>" for side, header in zip(right, headers, strict=True))
    lines = ("".join(f"<td{side}>{cell}</td>" for side, cell in zip(right, row, strict=True)) for row in cells)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>{f"<tr>{head}</tr>" if any(headers) else ""}{body}</table></div>'


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return text(value, 2000)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def picture(pixels: Pixels | None, lines: Sequence[str], side: int = 150) -> str:
    """An image (H, W, 1 or 3), made small, with lines of text below it; a frame without picture where there is none."""
    import cv2

    source = ""
    if pixels is not None:
        scale = min(1.0, 2 * side / max(pixels.shape[:2]))
        size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        bgr = small if small.ndim == 2 or small.shape[2] == 1 else cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
        source = f' src="data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"' if done else ""
    shown = f'<img{source} alt="">' if source else '<div class="muted">no picture</div>'
    return f'<div class="picture">{shown}{"<br>".join(lines)}</div>'
