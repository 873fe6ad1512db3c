"""Small pictures, made on the spot."""

import base64
import struct
import zlib
from io import BytesIO

from PIL import Image


def picture(colour: str = "red", *, size: tuple[int, int] = (24, 16), form: str = "PNG") -> bytes:
    """The bytes of a file."""
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def pictures(*colours: str, size: tuple[int, int] = (24, 16)) -> bytes:
    """A JPEG that holds several, as phones make them."""
    file = BytesIO()
    first, *others = [Image.new("RGB", size, colour) for colour in colours]
    first.save(file, "MPO", save_all=True, append_images=others)
    return file.getvalue()


def bomb(side: int) -> bytes:
    """A small PNG that says it has so many pixels each way."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def inline(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
