"""Rule: what an image in a chat must be. Known to the gateway, which checks what callers send, and to an engine's door.

data:image/png;base64,iVBOR... ── bytes_in ──▶ the file ── image_file ──▶ image/png, and how many pixels
"""

import base64
import re
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    # Pillow's name for a JPEG that holds several pictures, as phones make them; the first is what every reader shows.
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
MAX_PIXELS = 50_000_000
"""Of one image. Unpacked it takes three or four bytes for each, however small the file is."""
MAX_PIXELS_TOGETHER = 100_000_000
"""Of the images of one request, which are unpacked together."""
_BEGINNING = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.IGNORECASE)


class BadImage(ValueError):
    """Why it cannot be taken, and what to send instead; nothing of the image itself."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What a file is, whatever it is called."""

    media_type: str
    num_pixels: int


def is_data_uri(url: str) -> bool:
    return url[:5].lower() == "data:"


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def bytes_in(uri: str) -> bytes:
    """The file that a data URI holds. Raises BadImage."""
    beginning = _BEGINNING.match(uri)
    if beginning is None:
        raise BadImage("it is no data URI of an image. Send 'data:image/png;base64,' and its bytes")
    try:
        return base64.b64decode(uri[beginning.end() :], validate=True)
    except ValueError:
        raise BadImage("what follows 'base64,' is not base64. Encode the image's bytes, without line breaks") from None


def image_file(data: bytes, *, max_pixels: int = MAX_PIXELS_TOGETHER) -> ImageFile:
    """`max_pixels`: that the images before it in a request have left of MAX_PIXELS_TOGETHER. Raises BadImage."""
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            num_pixels, media_type = image.width * image.height, MEDIA_TYPES[str(image.format)]
            if num_pixels <= MAX_PIXELS:
                image.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        num_pixels, media_type = MAX_PIXELS + 1, ""
    except Exception as error:
        # Pillow's readers raise whatever comes to hand: OSError, SyntaxError, ValueError, struct.error.
        raise BadImage("it is no image that can be read. Send a JPEG, PNG, WebP or GIF file") from error
    if num_pixels > MAX_PIXELS:
        raise BadImage(f"it has more than {MAX_PIXELS:,} pixels. Make it smaller")
    if num_pixels > max_pixels:
        raise BadImage(
            f"the images of one request may have {MAX_PIXELS_TOGETHER:,} pixels together. Send smaller or fewer ones"
        )
    return ImageFile(media_type, num_pixels)
