from __future__ import annotations

import torch
from torch import Tensor

from tui_trainer.data.block import Block
from tui_trainer.data.transforms import Normalize


def made(channels_last: bool) -> tuple[list[Tensor], Tensor]:
    """Three batches of a block, and all at once."""
    images = torch.randint(0, 255, (12, 8, 8, 3), dtype=torch.uint8)
    normalize = Normalize((0.5,) * 3, (0.25,) * 3, torch.device("cpu"), channels_last=channels_last)
    block = Block(images, torch.zeros(12), 4)
    return [normalize.part(block, place) for place in range(3)], normalize(images).clone()


def test_a_part_is_laid_out_as_a_batch_of_its_own() -> None:
    for channels_last, layout in ((True, torch.channels_last), (False, torch.contiguous_format)):
        parts, whole = made(channels_last)
        assert torch.equal(torch.cat(parts), whole)
        for part in parts:
            assert part.is_contiguous(memory_format=layout)


def test_a_model_may_change_its_inputs_in_place() -> None:
    """By what it learns too, which torch refuses for views of one tensor."""
    parts, whole = made(channels_last=True)
    weight = torch.full((3, 1, 1), 2.0, requires_grad=True)
    for place, part in enumerate(parts):
        assert not part.requires_grad
        part.mul_(weight).sum().backward()
        assert torch.equal(part.detach(), 2 * whole[4 * place : 4 * place + 4])
    assert weight.grad is not None
    assert torch.allclose(weight.grad.flatten(), whole.sum((0, 2, 3)), rtol=1e-4)
