"""How the values of the result are stored: decided from the headers of the stack alone.

(PS3.3 C.7.6.3 Image Pixel Module, C.11.1 Modality LUT Module, C.7.5.1.1.2 Pixel Padding Value.)
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Storage of the output: 16 bits a sample, or 8 bits for colour by pixel (RGB).

    *rescale_slope* and *rescale_intercept* are ``None`` where the sources have no Modality LUT. A pixel
    that is outside of the volume has *padding_value*, a stored value.
    """

    signed: bool
    samples_per_pixel: int
    photometric_interpretation: str
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    padding_value: int
