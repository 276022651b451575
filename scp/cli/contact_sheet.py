"""A contact sheet: planes of a series in a labelled grid, as one PNG that a person can look at.

Each picture is shown through the object's own window (VOI LUT, PS3.3 C.11.2), or one for all of the sheet
where they have none, in the shape that Pixel Spacing gives it, with the patient's directions at its four
edges (C.7.6.1.1.1). It is a picture to see whether planes are right, not one to read them by.
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from scp.model import counted
from scp.results.provenance import millimetres

TILE = 240  # pixels, the larger side of a picture
MARGIN = 18  # around each picture, for the letters
LABEL_WIDTH, LABEL_HEIGHT = 100, 14
FAST = 1  # of zlib's levels: the file is hardly larger
LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))
"""What a growing x, y and z leads to, and what a falling one."""
SHOWN = (
    "SeriesDescription",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "PhotometricInterpretation",
    "PixelPaddingValue",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
)
"""What a picture depends on besides its pixels. Three hundred references to sources take long to decode."""
DECIMALS = 3
"""Of a place or a distance (mm): what lies behind is the noise of decimal strings."""
INK, PAPER, DIM = "#ebebeb", "#101010", "#969696"


def write(planes: Iterable[Path], count: int, sheet: Path, *, title: str = "", most: int = 18) -> None:
    """Write *sheet* with at most *most* of *planes*: the middle one of each of as many even parts.

    *planes* are *count* files of one series, taken and read one by one: they may still be in the making.
    Raises ``ValueError`` where there is no plane to show.
    """
    read, chosen, every = _read(planes, count, most)
    shown = [read[index] for index in chosen]
    _give_window(shown)
    grid = _grid([_tile(plane) for plane in shown])
    label = title or _title(read[0], read[every - 1], every)
    _saved_fast(_with_title(grid, label), sheet)


def _read(planes: Iterable[Path], count: int, most: int) -> tuple[dict[int, Dataset], list[int], int]:
    """Return by index the planes that are needed, the indices to show, and how many planes there are."""
    read: dict[int, Dataset] = {}
    frames, every, chosen = 0, 0, list[int]()
    for number, path in enumerate(planes):
        if not number:
            frames = int(pydicom.dcmread(path, stop_before_pixels=True).get("NumberOfFrames") or 1)
            every = count * frames
            chosen = [int((part + 0.5) * every / min(most, every)) for part in range(min(most, every))]
        wanted = {index for index in (0, *chosen, every - 1) if index // frames == number}
        if wanted:
            whole, pixels = _object(path)
            read |= {index: _reduced(_plane(whole, pixels, index % frames)) for index in wanted}
    if not read:
        raise ValueError("no plane to show")
    return read, chosen, every


def directions(vector: Sequence[float]) -> str:
    """Return the letters of the patient's directions that *vector* leads to, the nearest first.

    A direction counts from about 17 degrees (0.3) off the plane that it stands upon.
    """
    parts = sorted(zip(vector, LETTERS, strict=True), key=lambda part: -abs(part[0]))
    return "".join(letters[0] if value > 0 else letters[1] for value, letters in parts if abs(value) > 0.3)


def _object(path: Path) -> tuple[Dataset, NDArray[np.generic]]:
    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array
    return ds, pixels[np.newaxis] if ds.get("NumberOfFrames") == 1 else pixels


def _plane(whole: Dataset, pixels: NDArray[np.generic], frame: int) -> Dataset:
    """Return one plane with its ``pixels``; that of a multi-frame object with the frame's own geometry."""
    ds = Dataset()
    _copy(whole, ds)
    ds.pixels = pixels
    if "NumberOfFrames" in whole:
        ds.pixels, ds.InstanceNumber = pixels[frame], frame + 1
        for groups in (
            whole.SharedFunctionalGroupsSequence[0],
            whole.PerFrameFunctionalGroupsSequence[frame],
        ):
            for group in groups:
                _copy(group.value[0], ds)
    return ds


def _copy(source: Dataset, target: Dataset) -> None:
    """Give *target* elements of its own: those of a copied ``Dataset`` are shared, and change with it."""
    for keyword in SHOWN:
        if keyword in source:
            target.add(copy(source[keyword]))


def _reduced(ds: Dataset) -> Dataset:
    """Give *ds* its values through the Modality LUT, no more of them than its picture shows; return it.

    This is done while the next planes are made: little is left for when the last one is there.
    """
    row_spacing, column_spacing = map(float, ds.get("PixelSpacing", (1, 1)))
    height, width = ds.pixels.shape[0] * row_spacing, ds.pixels.shape[1] * column_spacing
    scale = TILE / max(height, width)
    ds.size = max(1, round(width * scale)), max(1, round(height * scale))
    if ds.pixels.ndim == 2:
        ds.sample = _real_values(ds)
        ds.pixels = np.asarray(apply_modality_lut(ds.pixels, ds), np.float32)
    if math.prod(ds.size) < math.prod(ds.pixels.shape[:2]):
        ds.pixels = np.asarray(Image.fromarray(ds.pixels).resize(ds.size, Image.Resampling.BILINEAR))
    return ds


def _real_values(ds: Dataset) -> NDArray[np.float64]:
    """Return a sample of the values of a plane, padding left out where there are others."""
    step = max(1, max(ds.pixels.shape) // 75)
    sample = ds.pixels[::step, ::step]
    values = np.asarray(apply_modality_lut(sample, ds), float)
    real = values[sample != ds.PixelPaddingValue] if "PixelPaddingValue" in ds else values.ravel()
    return real if real.size else values.ravel()


def _give_window(planes: Sequence[Dataset]) -> None:
    """Give gray planes without a window one for all: all values of theirs but the outermost percents.

    One each would show an empty plane as bright as a full one.
    """
    gray = (ds for ds in planes if ds.pixels.ndim == 2)
    lacking = [ds for ds in gray if not ("WindowWidth" in ds and "WindowCenter" in ds)]
    if not lacking:
        return
    low, high = np.percentile(np.concatenate([ds.sample for ds in lacking]), (1, 99))
    for ds in lacking:
        ds.WindowCenter, ds.WindowWidth = (low + high) / 2, max(high - low, 1e-6)


def _tile(ds: Dataset) -> Image.Image:
    picture = _picture(ds)
    width, height = picture.size
    tile = Image.new(
        picture.mode, (max(width, LABEL_WIDTH) + 2 * MARGIN, height + 2 * MARGIN + LABEL_HEIGHT), PAPER
    )
    left = (tile.width - width) // 2
    tile.paste(picture, (left, MARGIN))
    draw, font = ImageDraw.Draw(tile), _font(11)
    across, down = tile.width // 2, MARGIN + height // 2
    places = ((left - 3, down), (left + width + 3, down), (across, MARGIN - 2), (across, MARGIN + height + 2))
    for place, anchor, letters in zip(places, ("rm", "lm", "mb", "mt"), _edges(ds), strict=True):
        draw.text(place, letters, INK, font, anchor=anchor)
    draw.text((across, tile.height - 1), _label(ds), DIM, font, anchor="mb")
    return tile


def _picture(ds: Dataset) -> Image.Image:
    """Return the pixels through their window, 8 bits, in the shape that Pixel Spacing gives them."""
    pixels = _windowed(ds) if ds.pixels.ndim == 2 else ds.pixels
    return Image.fromarray(pixels.astype(np.uint8)).resize(ds.size, Image.Resampling.BILINEAR)


def _windowed(ds: Dataset) -> NDArray[np.float32]:
    """Return greys from 0 to 255: through the first window, linear."""
    center, width = _first(ds.WindowCenter), _first(ds.WindowWidth)
    low, high = center - width / 2, center + width / 2
    grey: NDArray[np.float32] = np.clip((ds.pixels - low) * (255 / max(high - low, 1e-6)), 0, 255)
    return 255 - grey if ds.get("PhotometricInterpretation") == "MONOCHROME1" else grey


def _first(value: object) -> float:
    return float(value[0] if isinstance(value, Sequence) else value)  # type: ignore[arg-type]


def _edges(ds: Dataset) -> tuple[str, str, str, str]:
    """Return the letters at the left, right, upper and lower edge; empty where the geometry is not known."""
    cosines = [float(cosine) for cosine in ds.get("ImageOrientationPatient") or ()]
    if len(cosines) != 6:
        return "", "", "", ""
    row, column = cosines[:3], cosines[3:]
    return (
        directions([-v for v in row]),
        directions(row),
        directions([-v for v in column]),
        directions(column),
    )


def _label(ds: Dataset) -> str:
    """Return the Instance Number, and where the plane lies: to which side of the origin, and how far (mm)."""
    number = f"{ds.get('InstanceNumber', '')}"
    cosines, position = ds.get("ImageOrientationPatient"), ds.get("ImagePositionPatient")
    if not cosines or not position:
        return number
    normal = np.cross(np.array(cosines[:3], float), np.array(cosines[3:], float))
    along = float(np.array(position, float) @ normal)
    side = directions((normal if along >= 0 else -normal).tolist())
    return f"{number}   {side} {millimetres(round(abs(along), DECIMALS))} mm"


def _title(first: Dataset, last: Dataset, count: int) -> str:
    """Return what the series is, how many planes at which interval it has, and their pixel size."""
    interval = _interval_mm(first, last, count)
    every = f" every {millimetres(round(interval, DECIMALS))} mm" if interval else ""
    sizes = dict.fromkeys(millimetres(float(size)) for size in first.get("PixelSpacing", ()))
    pixels = f", pixels of {'x'.join(sizes)} mm" if sizes else ""
    return f"{first.get('SeriesDescription', '')}   {counted(count, 'plane')}{every}{pixels}".strip()


def _interval_mm(first: Dataset, last: Dataset, count: int) -> float:
    """Return the mean distance from one plane to the next; 0 where there is none or nobody knows."""
    ends = [ds.get("ImagePositionPatient") for ds in (first, last)]
    if count < 2 or not all(ends):
        return 0.0
    return float(np.linalg.norm(np.subtract(*(np.array(end, float) for end in ends)))) / (count - 1)


def _grid(tiles: Sequence[Image.Image]) -> Image.Image:
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    columns = min(len(tiles), math.ceil(math.sqrt(len(tiles) * 1.5 * height / width)))
    sheet = Image.new(tiles[0].mode, (columns * width, math.ceil(len(tiles) / columns) * height), PAPER)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, number // columns * height))
    return sheet


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _with_title(grid: Image.Image, title: str) -> Image.Image:
    width = max(grid.width, 600)
    sheet = Image.new(grid.mode, (width, grid.height + 30), PAPER)
    sheet.paste(grid, (0, 30))
    ImageDraw.Draw(sheet).text((MARGIN, 15), title, INK, _font(15), anchor="lm")
    return sheet


def _saved_fast(picture: Image.Image, sheet: Path) -> None:
    """Write *picture* as PNG; gray levels as a palette, for which Pillow does not try five filters a row."""
    if picture.mode == "L":
        picture.putpalette(bytes(level for level in range(256) for _ in "RGB"))
    picture.save(sheet, compress_level=FAST, compress_type=zlib.Z_RLE)
