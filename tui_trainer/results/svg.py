"""Line charts as SVG text, for a page that loads nothing: plain numbers in, no script, no font, no style of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 30
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points (epochs, value) under a name; `style` is a class of the page's style sheet."""

    name: str
    style: str
    points: Sequence[Point]


def line_chart(title: str, curves: Sequence[Curve], *, percent: bool = False, dots: bool = False) -> str:
    """All curves on one pair of axes, or their points as `dots`; values that are not finite are gaps."""
    finite = [(x, y) for curve in curves for x, y in curve.points if math.isfinite(y)]
    if not finite:
        return ""
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    across, up = _axis(min(xs), max(xs), 8), _axis(min(ys), max(ys), 5)

    def place(x: float, y: float) -> tuple[float, float]:
        share_x = (x - across[0]) / (across[-1] - across[0])
        share_y = (y - up[0]) / (up[-1] - up[0])
        return LEFT + share_x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share_y * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in up:
        _, y = place(across[0], value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f"{value * 100:.3g} %" if percent else f"{value:.3g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for value in across:
        x, _ = place(value, up[0])
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{value:.4g}</text>')
    for curve in curves:
        for stretch in _stretches(curve.points):
            places = [place(x, y) for x, y in stretch]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            if dots or len(places) == 1:
                parts += [f'<circle class="{curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in places]
            else:
                parts.append(f'<polyline class="{curve.style}" points="{path}"/>')
    parts.append("</svg>")
    legend = " ".join(f'<span class="key {curve.style}"></span>{escape(curve.name)}' for curve in curves)
    return f"<figure><figcaption><b>{escape(title)}</b> {legend}</figcaption>{''.join(parts)}</figure>"


def _stretches(points: Sequence[Point]) -> list[list[Point]]:
    """The points between gaps."""
    found: list[list[Point]] = [[]]
    for x, y in points:
        if math.isfinite(y):
            found[-1].append((x, y))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def _axis(low: float, high: float, most: int) -> list[float]:
    """Round numbers around low..high, at most about so many."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * power for step in STEPS if span / (step * power) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
