"""A chart as SVG, without any library."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 420, 80, 60, 40, 230
COLOURS = ("#d1495b", "#333333", "#00798c", "#edae49", "#6a994e")


def sweep(series):
    """Deliveries a second over those offered, one line a server, both axes logarithmic."""
    points = [point for line in series.values() for point in line if point[1]]
    low = 10 ** math.floor(math.log10(min(min(point) for point in points)))
    high = 10 ** math.ceil(math.log10(max(max(point) for point in points)))

    def x(value):
        return LEFT + (math.log10(value / low) / math.log10(high / low)) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - (math.log10(value / low) / math.log10(high / low)) * (HEIGHT - BOTTOM - TOP)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{LEFT}" y="22" font-size="14">Deliveries/s to 1,000 subscribers, one core</text>']
    decade = low
    while decade <= high:
        label = f"{decade / 1e6:g}M" if decade >= 1e6 else f"{decade / 1e3:g}k"
        parts += [f'<path d="M{x(decade):.1f},{TOP}V{HEIGHT - BOTTOM}M{LEFT},{y(decade):.1f}H{WIDTH - RIGHT}" '
                  'stroke="#dddddd"/>',
                  f'<text x="{x(decade):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>',
                  f'<text x="{LEFT - 8}" y="{y(decade) + 4:.1f}" text-anchor="end">{label}</text>']
        decade *= 10
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">offered</text>')
    parts.append(f'<text x="20" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
                 f'transform="rotate(-90 20 {(TOP + HEIGHT - BOTTOM) / 2})">delivered</text>')
    for place, (name, line) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        line = [(offered, delivered) for offered, delivered in line if delivered]
        path = "M" + "L".join(f"{x(offered):.1f},{y(delivered):.1f}" for offered, delivered in line)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in line]
        top = TOP + 10 + 20 * place
        parts.append(f'<path d="M{WIDTH - RIGHT + 16},{top}h20" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{WIDTH - RIGHT + 42}" y="{top + 4}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])
