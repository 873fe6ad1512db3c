"""Models that keep what they know of an image's positions to themselves (Qwen-VL): no row confuses the next."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLTextConfig
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig

from workers.engines.transformers.forward import Piece
from workers.engines.transformers.images import Seen
from workers.engines.transformers.vision_forward import VisionForward
from workers.errors import RequestCancelled

IMAGE, START, END, SIZE = 90, 91, 92, 100
GRID = torch.tensor([[1, 4, 8]])  # patches of one image: time, height, width
TEXT = [5, 17, 3, 40, 11, 7, 23, 2, 61]
SHOWN = [5, START, *[IMAGE] * 8, END, 17, 3]


class Types:
    """That part of a processor; the whole needs a library for videos."""

    def create_mm_token_type_ids(self, rows: list[list[int]]) -> list[list[int]]:
        return [[int(token == IMAGE) for token in row] for row in rows]


@dataclass
class FakeRow:
    tokens: list[int]
    seen: Seen | None = None
    num_fed: int = field(default=0)
    is_done: bool = False

    def seated(self, num_cached: int) -> None:
        self.num_fed = num_cached

    @property
    def num_unfed(self) -> int:
        return len(self.tokens) - self.num_fed


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(7)
    vision = Qwen2VLVisionConfig(
        depth=2, embed_dim=32, hidden_size=64, num_heads=2, mlp_ratio=2, patch_size=4, spatial_merge_size=2
    )
    text = Qwen2VLTextConfig(
        vocab_size=SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=None, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    )  # fmt: skip
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE, vision_start_token_id=START,
        vision_end_token_id=END, video_token_id=93,
    )  # fmt: skip
    model = Qwen2VLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    return model


@pytest.fixture(scope="module")
def seen() -> Seen:
    pixels = torch.randn(4 * 8, 3 * 2 * 4 * 4, generator=torch.Generator().manual_seed(3))
    tensors = {"pixel_values": pixels, "image_grid_thw": GRID}
    return Seen(placeholders=[], tensors=tensors, processor=Types(), types_name="mm_token_type_ids")


def reference(model: Any, tokens: list[int], seen: Seen | None) -> list[int]:
    ids = torch.tensor([tokens])
    inputs = seen.inputs(tokens, model) if seen else {}
    model.model.rope_deltas = None
    options = {"max_new_tokens": 8, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    return model.generate(input_ids=ids, **inputs, **options)[0, len(tokens) :].tolist()


def answered(
    forward: VisionForward, tokens: list[int], seen: Seen | None, *, piece_tokens: int = len(SHOWN)
) -> list[int]:
    row: Any = FakeRow(list(tokens), seen)
    assert forward.seat(row)
    while len(row.tokens) < len(tokens) + 8:
        piece = Piece(row, row.tokens[row.num_fed : row.num_fed + piece_tokens])
        logits = forward.step([piece])
        row.num_fed += len(piece.ids)
        row.tokens += logits.argmax(-1).tolist()
    forward.leave(row)
    return row.tokens[len(tokens) :]


def test_rows_with_and_without_images_are_answered_as_alone(model: Any, seen: Seen) -> None:
    asked = [(TEXT, None), (SHOWN, seen), (TEXT, None), (SHOWN, seen)]
    with torch.inference_mode():
        expected = [reference(model, *row) for row in asked]
        forward = VisionForward(model, lambda: None)
        model.model.rope_deltas = None
        assert [answered(forward, *row) for row in asked] == expected


def test_prompts_without_images_go_in_in_pieces(model: Any, seen: Seen) -> None:
    with torch.inference_mode():
        expected = reference(model, TEXT, None)
        forward = VisionForward(model, lambda: None)
        answered(forward, SHOWN, seen)
        assert answered(forward, TEXT, None, piece_tokens=4) == expected


def test_a_long_step_tells_that_it_goes_on_and_ends_when_nobody_waits_for_it(model: Any, seen: Seen) -> None:
    row: Any = FakeRow(SHOWN, seen)
    num_told = 0

    def progressed() -> None:
        nonlocal num_told
        num_told += 1
        row.is_done = num_told == 3

    forward = VisionForward(model, progressed)
    assert forward.seat(row)
    with torch.inference_mode(), pytest.raises(RequestCancelled):
        forward.step([Piece(row, SHOWN)])
    forward.leave(row)
    # Of two layers for images and two for text.
    assert num_told == 3


def test_only_one_row_has_a_seat(model: Any) -> None:
    forward, first, second = VisionForward(model, lambda: None), FakeRow(TEXT), FakeRow(TEXT)
    assert [forward.seat(first), forward.seat(second)] == [True, False]  # type: ignore[arg-type]
    forward.leave(first)  # type: ignore[arg-type]
    assert forward.seat(second)  # type: ignore[arg-type]
