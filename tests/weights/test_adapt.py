from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.weights.matching import match_file
from tui_trainer.weights import adapt
from tui_trainer.weights.load import load_into
from tui_trainer.weights.match import match
from tui_trainer.weights.reader import list_weights
from tui_trainer.weights.report import Facts

from .torchvision_shapes import shapes


def facts(*shape):
    return Facts(shape=shape, dtype="float32")


def net(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3, bias=False), nn.Flatten(), nn.Linear(4, classes))


def loaded(tmp_path, source, model, **settings):
    torch.save(source.state_dict(), tmp_path / "w.pth")
    file = list_weights(tmp_path / "w.pth")
    report = match_file(file, model, **settings)
    return report, load_into(model, file, report)


def layer(report, name):
    return next(layer for layer in report.layers if layer.layer == name)


def test_three_channels_to_one_is_the_sum(tmp_path):
    source, model = net(3, 5), net(1, 5)
    report, _ = loaded(tmp_path, source, model)
    assert (layer(report, "0").status, layer(report, "0").detail) == ("adapted", "3 input channels to 1, summed")
    grey = torch.randn(2, 1, 9, 9)
    assert torch.allclose(model[0](grey), source[0](grey.expand(-1, 3, -1, -1)), atol=1e-5)


@pytest.mark.parametrize("channels", [2, 4, 6, 7])
def test_three_channels_to_more_are_tiled_and_scaled(channels, tmp_path):
    source, model = net(3, 5), net(channels, 5)
    loaded(tmp_path, source, model)
    weight = source[0].weight
    expected = torch.stack([weight[:, index % 3] for index in range(channels)], 1) * 3 / channels
    assert torch.allclose(model[0].weight, expected)


def test_one_channel_to_three(tmp_path):
    source, model = net(1, 5), net(3, 5)
    loaded(tmp_path, source, model)
    grey = torch.randn(2, 1, 9, 9)
    assert torch.allclose(model[0](grey.expand(-1, 3, -1, -1)), source[0](grey), atol=1e-5)


def test_an_adapter_can_be_switched_off():
    file, model = net(3, 5).state_dict(), net(1, 5).state_dict()
    assert layer(match(file, model, adapters=[]), "0").status == "shape differs"
    assert layer(match(file, model, adapters=["first_conv"]), "0").status == "adapted"


def test_only_the_first_convolution_is_adapted():
    file = {"a.weight": facts(4, 3, 3, 3), "b.weight": facts(4, 3, 3, 3)}
    model = {"a.weight": facts(4, 3, 3, 3), "b.weight": facts(4, 1, 3, 3)}
    assert layer(match(file, model), "b").status == "shape differs"
    assert adapt.for_first_conv(facts(4, 8, 3, 3), facts(4, 16, 3, 3), adapt.ADAPTERS) is None
    assert adapt.for_first_conv(facts(5, 1, 3, 3), facts(4, 3, 3, 3), adapt.ADAPTERS) is None


def test_classifier_rows_go_by_class_name(tmp_path):
    source, model = net(3, 4), net(3, 3)
    before = model[2].weight.detach().clone()
    report, done = loaded(
        tmp_path,
        source,
        model,
        file_classes=["cat", "great_dane", "fish", "owl"],
        model_classes=["Owl", "cow", "great dane"],
    )
    assert (layer(report, "2").status, layer(report, "2").detail) == ("adapted", "2 of 3 rows by class name")
    assert torch.equal(model[2].weight[0], source[2].weight[3])
    assert torch.equal(model[2].weight[1], before[1])
    assert torch.equal(model[2].bias[2], source[2].bias[1])
    assert "2" in done.layers


def test_equal_shapes_in_another_order_of_classes_are_put_in_order(tmp_path):
    source, model = net(3, 3), net(3, 3)
    loaded(tmp_path, source, model, file_classes=["a", "b", "c"], model_classes=["c", "a", "b"])
    assert torch.equal(model[2].weight, source[2].weight[[2, 0, 1]])


def test_class_names_that_occur_twice_are_not_guessed():
    names = ["crane", "maillot", "crane"]
    found = adapt.for_class_rows(facts(2, 8), facts(3, 8), ["crane", "maillot"], names, adapt.ADAPTERS)
    assert found is not None
    assert found.rows == ((1, 1),)
    assert adapt.for_class_rows(facts(1, 8), facts(3, 8), ["cow"], names, adapt.ADAPTERS) is None


def test_without_class_names_the_first_rows_are_never_taken():
    report = match(shapes("resnet18"), shapes("resnet18", 7))
    assert layer(report, "fc").status == "shape differs"


class Positions(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, 1 + side * side, 6))
        self.fc = nn.Linear(6, 2)


def test_position_tables_are_resized(tmp_path):
    source, model = Positions(4), Positions(6)
    source.pos_embedding.data[0, 1:] = 2.5
    report, _ = loaded(tmp_path, source, model)
    assert layer(report, "pos_embedding").detail == "position table resized from 4x4 to 6x6"
    assert torch.equal(model.pos_embedding[0, 0], source.pos_embedding[0, 0])
    assert torch.allclose(model.pos_embedding[0, 1:], torch.tensor(2.5))


def test_position_tables_keep_rows_and_columns(tmp_path):
    source, model = Positions(3), Positions(6)
    row = torch.arange(3.0)
    source.pos_embedding.data[0, 1:] = row.repeat_interleave(3)[:, None]  # grows from row to row, not along a row
    loaded(tmp_path, source, model)
    table = model.pos_embedding.detach()[0, 1:].reshape(6, 6, 6)
    assert torch.allclose(table[:, 0], table[:, 5], atol=1e-6)
    assert (table[1:, 0, 0] > table[:-1, 0, 0]).all()


def test_position_tables_that_are_no_square_are_left():
    assert adapt.for_positions("pos_embed", facts(1, 50, 8), facts(1, 198, 8), adapt.ADAPTERS) is None
    assert adapt.for_positions("pos_embed", facts(1, 50, 8), facts(1, 197, 9), adapt.ADAPTERS) is None
    assert adapt.for_positions("weight", facts(1, 50, 8), facts(1, 197, 8), adapt.ADAPTERS) is None
    assert adapt.for_positions("relative_position_bias_table", facts(169, 3), facts(49, 3), adapt.ADAPTERS) is not None


def test_swin_window_tables_are_resized_and_their_index_left_to_the_model():
    def block(window: int) -> dict[str, Facts]:
        places = window * window
        return {
            "attn.relative_position_bias_table": facts((2 * window - 1) ** 2, 4),
            "attn.relative_position_index": Facts(shape=(places * places,), dtype="int64"),
            "attn.qkv.weight": facts(12, 4),
        }

    assert layer(match(block(7), block(8)), "attn").status == "adapted"


def test_picture_size_that_gives_as_many_numbers():
    def features(side: int) -> int | None:  # LeNet: two convolutions of 3, two poolings of 2
        cells = ((side - 2) // 2 - 2) // 2
        return 16 * cells * cells if cells > 0 else None

    assert adapt.fitting_image_size(features, 576) == 32
    assert adapt.fitting_image_size(features, 577) is None
