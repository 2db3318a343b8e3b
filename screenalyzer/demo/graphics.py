"""Title cards, name tags and drawn cutaways of the demo."""

import math
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from screenalyzer.demo.planes import Planes, from_bgr, with_alpha
from screenalyzer.types import UInt8

ACCENTS: Final = (
    (255, 122, 89),
    (64, 196, 170),
    (120, 140, 255),
    (255, 196, 80),
    (214, 110, 214),
    (90, 190, 250),
)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6, round(size)))


def _overlay(image: Image.Image) -> Planes:
    rgba = np.asarray(image, np.uint8)
    return with_alpha(np.ascontiguousarray(rgba[..., 2::-1]), np.asarray(rgba[..., 3] / 255, np.float32))


@lru_cache(maxsize=8)
def card(width: int, height: int, title: str, subtitle: str, accent: int) -> Planes:
    """A title in the middle of a dark, clear frame."""
    image = Image.new("RGBA", (width, height), (10, 14, 24, 150))
    draw = ImageDraw.Draw(image)
    middle, colour = width / 2, (*ACCENTS[accent % len(ACCENTS)], 255)
    draw.text(
        (middle, height * 0.44), title, font=_font(height * 0.105), fill=(255, 255, 255, 255), anchor="mm"
    )
    bar = (middle - width * 0.045, height * 0.535, middle + width * 0.045, height * 0.541)
    draw.rectangle(bar, fill=colour)
    draw.text(
        (middle, height * 0.61), subtitle, font=_font(height * 0.052), fill=(225, 230, 240, 255), anchor="mm"
    )
    return _overlay(image)


@lru_cache(maxsize=16)
def tag(width: int, height: int, name: str, accent: int) -> Planes:
    """A lower third with a name, for a frame of that size."""
    font = _font(height * 0.05)
    tall = round(height * 0.088) // 2 * 2
    wide = (round(font.getlength(name) + tall * 1.2) + 3) // 4 * 4
    image = Image.new("RGBA", (min(wide, width // 2), tall), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, image.width - 1, tall - 1), radius=tall * 0.18, fill=(14, 18, 30, 205))
    draw.rectangle((0, 0, tall * 0.12, tall - 1), fill=(*ACCENTS[accent % len(ACCENTS)], 255))
    draw.text((tall * 0.5, tall * 0.5), name, font=font, fill=(255, 255, 255, 255), anchor="lm")
    return _overlay(image)


def chart(width: int, height: int, t: float, accent: int) -> Planes:
    """A drawn cutaway: bars that grow over slanted bands of colour.

    Args:
        width: of the frame.
        height: of the frame.
        t: progress, 0..1.
        accent: which colours.
    """
    first, second = (np.array(ACCENTS[(accent + k) % len(ACCENTS)][::-1], np.float32) for k in (0, 2))
    y, x = np.mgrid[0 : height // 4, 0 : width // 4].astype(np.float32)
    slope = (x / width + y / height) * 2
    band = 0.5 + 0.5 * np.sin((slope * 3 + t * 0.6) * 2 * math.pi)
    picture = np.float32(28) + (first * 0.16) * band[..., None] + (second * 0.14) * (1 - slope)[..., None]
    canvas = cv2.resize(np.clip(picture, 0, 255), (width, height), interpolation=cv2.INTER_LINEAR).astype(
        np.uint8
    )
    bars = 7
    for i in range(bars):
        rise = min(max(t * 2.2 - i * 0.12, 0.0), 1.0)
        tall = height * (0.16 + 0.44 * abs(math.sin(1.7 * i + accent))) * (1 - (1 - rise) ** 3)
        left = width * (0.16 + 0.7 * i / bars)
        colour = first if i % 2 else second
        corner = (round(left), round(height * 0.84 - tall))
        cv2.rectangle(
            canvas, corner, (round(left + width * 0.066), round(height * 0.84)), colour.tolist(), -1
        )
    base = round(height * 0.84)
    cv2.line(
        canvas,
        (round(width * 0.13), base),
        (round(width * 0.87), base),
        (235, 235, 235),
        max(1, height // 240),
    )
    return from_bgr(canvas)


@lru_cache(maxsize=4)
def vignette(width: int, height: int) -> UInt8:
    """Light that falls off towards the corners: 255 in the middle, uint8[height, width]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    return np.asarray(np.rint(255 * (1 - 0.28 * distance**1.5)), np.uint8)


@lru_cache(maxsize=4)
def grain(width: int, height: int) -> tuple[tuple[UInt8, UInt8], ...]:
    """A few frames of film noise, each as what it adds and what it takes away."""
    noise = np.random.Generator(np.random.PCG64(25)).normal(0, 1.3, (6, height, width))
    levels = np.clip(np.rint(noise), -6, 6).astype(np.int8)
    return tuple((np.maximum(n, 0).astype(np.uint8), np.maximum(-n, 0).astype(np.uint8)) for n in levels)
