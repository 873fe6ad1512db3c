"""The images of a request, each checked, and put in the place of its link: whoever answers is sent data URIs only.

body, images ── check, or fetch and check ──▶ body with data URIs of what the files really are
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from django.conf import settings

from gateway.errors import InvalidImage, ModelNotFound, UnsupportedParameter
from gateway.image_fetching import NotFetched, too_large
from gateway.openai.parameters import PlacedImage
from gateway.snapshot import Snapshot
from gateway.usage import BYTES_PER_TOKEN
from protocol.images import MAX_PIXELS_TOGETHER, BadImage, ImageFile, bytes_in, data_uri, image_file, is_data_uri
from protocol.parameters import VISION

_TOKENS_PER_IMAGE = 1024
"""About what an image of ordinary size comes to; the engine counts exactly."""


Fetch = Callable[..., Awaitable[bytes]]
"""ImageFetcher.fetch, on the caller's account."""


async def with_images(body: bytes, images: Sequence[PlacedImage], fetch: Fetch) -> bytes:
    """The body, and `images` themselves, with every link replaced. Raises InvalidImage."""
    if len(images) > settings.MAX_IMAGES:
        raise _invalid(images[settings.MAX_IMAGES], f"a request may hold {settings.MAX_IMAGES} images. Send fewer")
    before = [placed.image.url for placed in images]
    num_left, num_pixels_left = settings.MAX_IMAGE_BYTES, MAX_PIXELS_TOGETHER
    deadline_s = asyncio.get_running_loop().time() + settings.IMAGE_TIMEOUT.total_seconds()
    # One after the other: no request takes more than one of the few connections.
    for placed in images:
        data = await _file_of(placed, fetch, max_bytes=num_left, deadline_s=deadline_s)
        found = await _looked_at(placed, data, max_pixels=num_pixels_left)
        placed.image.url = _named(placed.image.url, data, found.media_type)
        num_left, num_pixels_left = num_left - len(data), num_pixels_left - found.num_pixels
    urls = [placed.image.url for placed in images]
    return body if urls == before else _with_urls(body, urls)


def check_somebody_sees(model: str, param: str, snapshot: Snapshot) -> None:
    """Before anything is fetched for a model that could not look at it. Raises ModelNotFound, UnsupportedParameter."""
    if not snapshot.is_name(model):
        raise ModelNotFound(model)
    pools = [pool for name in snapshot.models_behind(model) if (pool := snapshot.pools.get(name))]
    if pools and not any(VISION in replica.capabilities for pool in pools for replica in pool.replicas):
        raise UnsupportedParameter(model, param)


def num_prompt_bytes(images: Sequence[PlacedImage], body: bytes) -> int:
    """How long the prompt is, at most, when its images are counted as what they come to in tokens."""
    num_image_bytes = sum(len(placed.image.url) for placed in images)
    return len(body) - num_image_bytes + len(images) * _TOKENS_PER_IMAGE * BYTES_PER_TOKEN


async def _file_of(placed: PlacedImage, fetch: Fetch, *, max_bytes: int, deadline_s: float) -> bytes:
    """Raises InvalidImage."""
    url = placed.image.url
    try:
        async with asyncio.timeout_at(deadline_s):
            is_inline = is_data_uri(url)
            data = await (asyncio.to_thread(bytes_in, url) if is_inline else fetch(url, max_bytes=max_bytes))
    except (BadImage, NotFetched) as error:
        raise _invalid(placed, str(error)) from None
    except TimeoutError:
        raise _invalid(placed, "it took too long to fetch. Send the image as a data URI") from None
    if len(data) > max_bytes:
        raise _invalid(placed, too_large())
    return data


async def _looked_at(placed: PlacedImage, data: bytes, *, max_pixels: int) -> ImageFile:
    """Raises InvalidImage."""
    try:
        return await asyncio.to_thread(image_file, data, max_pixels=max_pixels)
    except BadImage as error:
        raise _invalid(placed, str(error)) from None


def _named(url: str, data: bytes, media_type: str) -> str:
    """A file's data URI. Some callers name every image a JPEG, and some of those who are asked believe the name."""
    return url if url.startswith(f"data:{media_type};base64,") else data_uri(data, media_type)


def _with_urls(body: bytes, urls: Sequence[str]) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    messages = msgspec.json.decode(fields["messages"])
    contents = (message["content"] for message in messages if isinstance(message.get("content"), list))
    images = (part["image_url"] for content in contents for part in content if part["type"] == "image_url")
    for image, url in zip(images, urls, strict=True):
        image["url"] = url
    return msgspec.json.encode({**fields, "messages": messages})


def _invalid(placed: PlacedImage, reason: str) -> InvalidImage:
    return InvalidImage(f"{placed.param}.url", placed.image.url, reason)
