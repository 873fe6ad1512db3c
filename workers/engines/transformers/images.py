"""Images of a chat, made into what a model that sees is given of them, by the processor that comes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from PIL import Image, ImageOps

from protocol.images import MAX_PIXELS_TOGETHER, BadImage, image_file
from workers.errors import BadRequest

_OF_TEXT = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "text_replacement_offsets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The images of one prompt. `placeholders`: what stands in the prompt for each, as text."""

    placeholders: list[str]
    tensors: Mapping[str, torch.Tensor]
    processor: Any
    types_name: str
    """What the model calls the numbers that tell tokens of images from others; empty: it does not ask for them."""

    def inputs(self, ids: Sequence[int], model: Any) -> dict[str, torch.Tensor]:
        """What goes into the model together with these tokens."""
        inputs = {name: _fit(tensor, model) for name, tensor in self.tensors.items()}
        if self.types_name:
            types = self.processor.create_mm_token_type_ids([list(ids)])
            inputs[self.types_name] = torch.tensor(types, device=model.device)  # (1, tokens)
        return inputs


class Viewer:
    """Not safe for threads: it uses the tokenizer."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.image_token: str = processor.image_token
        """Stands for one image in what a chat template writes."""

    def look_at(self, files: Sequence[bytes]) -> Seen:
        """In the order of the chat. Raises BadRequest."""
        _check_pixels(files)
        images = [_opened(file) for file in files]
        made = self._processor(
            images=images,
            text=[self.image_token * len(images)],
            return_tensors="pt",
            return_text_replacement_offsets=True,
        )
        return Seen(
            placeholders=[found["replacement"] for found in made["text_replacement_offsets"][0]],
            tensors={name: value for name, value in made.items() if name not in _OF_TEXT},
            processor=self._processor,
            types_name=self._types_name(made),
        )

    def _types_name(self, made: Mapping[str, Any]) -> str:
        if "mm_token_type_ids" in made:
            return "mm_token_type_ids"
        # Gemma's name for it; other tokenizers give numbers of that name which mean something else.
        return "token_type_ids" if self._processor.return_mm_token_type_ids else ""


def images_in(messages: Sequence[Mapping[str, Any]]) -> list[bytes]:
    contents = (message["content"] for message in messages if isinstance(message.get("content"), list))
    return [part["image"] for content in contents for part in content if part["type"] == "image"]


def _check_pixels(files: Sequence[bytes]) -> None:
    """Before the first is unpacked: the processor needs all of them at once. Raises BadRequest."""
    num_left = MAX_PIXELS_TOGETHER
    try:
        for file in files:
            num_left -= image_file(file, max_pixels=num_left).num_pixels
    except BadImage as error:
        raise BadRequest(f"Invalid value for 'messages': {error}.", param="messages", code="invalid_image") from error


def _opened(file: bytes) -> Image.Image:
    """Upright, without transparency; of an animation the first picture."""
    try:
        with Image.open(BytesIO(file)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:
        # Pillow raises whatever comes to hand for a file that is broken behind a good beginning.
        raise BadRequest("An image is broken: it cannot be read to its end.", param="messages") from error


def _fit(tensor: torch.Tensor, model: Any) -> torch.Tensor:
    return tensor.to(model.device, dtype=model.dtype if tensor.is_floating_point() else None)
