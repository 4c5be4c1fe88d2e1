"""Stored colours to sRGB through the slide's own ICC profile."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from napari_histoaug.slides.reader import Reader


class SrgbReader:
    """A reader whose blocks come back in sRGB, converted with Pillow's lcms.

    Relative colorimetric, black stays black and white stays white as far as the profile allows;
    pixels the file does not hold are left as they are.

    Parameters
    ----------
    reader : Reader
        The reader of the stored pixels.
    profile : bytes
        An ICC profile of RGB pixels.

    Raises
    ------
    ImageCms.PyCMSError
        When the profile is damaged or not one of RGB pixels.
    """

    def __init__(self, reader: Reader, profile: bytes) -> None:
        self._reader, self._profile = reader, profile
        self.vendor, self.mpp, self.bounds = reader.vendor, reader.mpp, reader.bounds
        self.shapes, self.tile_shapes = reader.shapes, reader.tile_shapes
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            self._transform = ImageCms.buildTransform(
                source,
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (OSError, ValueError) as error:
            raise ImageCms.PyCMSError(str(error)) from error

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) in sRGB; see :class:`Reader`."""
        stored = self._reader.read(level, y, x, height, width)
        image = ImageCms.applyTransform(Image.fromarray(stored), self._transform)
        assert image is not None, "not done in place"
        converted = np.array(image)
        empty = ~self._reader.read_valid(level, y, x, height, width)
        converted[empty] = stored[empty]
        return converted

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return the mask of the stored pixels."""
        return self._reader.read_valid(level, y, x, height, width)

    def icc_profile(self) -> bytes | None:
        """Return the profile the stored pixels have."""
        return self._profile

    def reopen(self, own: bool) -> Reader:
        """Return the same over a reopened reader."""
        return SrgbReader(self._reader.reopen(own), self._profile)

    def share(self) -> None:
        """Share the handle of the reader below."""
        self._reader.share()

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
