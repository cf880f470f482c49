"""Colours of classes on pictures."""

from PIL import ImageColor

# Okabe and Ito's colours, which people with any kind of colour vision tell apart; violet for their black.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#7A5195")
DARK, LIGHT = "#111111", "#ffffff"


def class_colour(label: int) -> str:
    """The colour of class `label`, 0..K-1: eight colours, then darker ones, then lighter ones; every 24th class has the same.

    >>> class_colour(0), class_colour(8), class_colour(16), class_colour(24)
    ('#E69F00', '#7F5700', '#F4D48C', '#E69F00')
    """
    colour, shade = CLASS_COLOURS[label % len(CLASS_COLOURS)], label // len(CLASS_COLOURS) % 3
    if not shade:
        return colour
    towards, share = ((0, 0.45), (255, 0.55))[shade - 1]
    return "#" + "".join(f"{round((1 - share) * value + share * towards):02X}" for value in rgb(colour))


def ink_on(colour: str) -> str:
    """`DARK` or `LIGHT`, whichever is easier to read on `colour` (by the contrast ratio of WCAG 2.2).

    >>> ink_on("#F0E442") == DARK, ink_on("#0072B2") == LIGHT
    (True, True)
    """
    there = _luminance(colour) + 0.05
    return LIGHT if (_luminance(LIGHT) + 0.05) / there > there / (_luminance(DARK) + 0.05) else DARK


def rgb(colour: str) -> tuple[int, ...]:
    """Red, green, blue, 0..255.

    >>> rgb("#E69F00")
    (230, 159, 0)
    """
    return ImageColor.getrgb(colour)[:3]


def _luminance(colour: str) -> float:
    """Relative, 0..1."""
    shares = (value / 255 for value in rgb(colour))
    linear = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
