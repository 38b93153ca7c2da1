"""The encoders and their blocks: sizes as published, laws of order and of batches, and hand-computed numbers."""

import pytest
import torch

from shapetool.models.encoders import ImageEncoder, PairEncoder, PointEncoder, VoxelEncoder
from shapetool.models.layers import CodedBlock, CodedNorm, ResidualBlock


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def linear(inputs, outputs, bias=True):
    return inputs * outputs + outputs * bias


def shaken(module, seed=0):
    """The module after a start at which nothing is 0 by design."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize(
    ("module", "weights"),
    [
        # ResnetPointnet of the authors: fc_pos, five ResnetBlockFC with a shortcut, fc_c.
        (
            PointEncoder(512, 512),
            linear(3, 1024)
            + 5 * (linear(1024, 512) + linear(512, 512) + linear(1024, 512, bias=False))
            + linear(512, 512),
        ),
        # VoxelEncoder of the authors: conv_in and conv_0 to conv_3, fc on 512 x 2 x 2 x 2.
        (
            VoxelEncoder(256, 32, 32),
            sum(linear(27 * a, b) for a, b in ((1, 32), (32, 64), (64, 128), (128, 256), (256, 512)))
            + linear(4096, 256),
        ),
        # encoder_latent.Encoder without condition: fc_pos, fc_0, fc_1, fc_2, fc_3, fc_mean, fc_logstd.
        (
            PairEncoder(2 * 128, 128),
            linear(3, 128) + linear(1, 128) + linear(128, 128) + 2 * linear(256, 128) + 2 * linear(128, 128),
        ),
        # ResNet-18 has 11,689,512 weights, of which 513,000 are those of its thousand classes.
        (ImageEncoder(1000, 224, 64, norm="batch"), 11_689_512),
    ],
    ids=["points", "voxels", "pairs", "image"],
)
def test_an_encoder_has_as_many_weights_as_the_published_one(module, weights):
    assert count(module) == weights


def test_a_residual_block_by_hand():
    block = ResidualBlock(2, 2)
    with torch.no_grad():
        block.first.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
        block.first.bias.copy_(torch.tensor([0.5, 0.0]))
        block.second.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
        block.second.bias.copy_(torch.tensor([0.0, -1.0]))
    # relu(1, -2) = (1, 0); first: (1.5, 3); relu changes nothing; second: (4.5, 5); plus (1, -2).
    assert block(torch.tensor([1.0, -2.0])).tolist() == [5.5, 3.0]


def test_a_residual_block_begins_as_its_shortcut():
    torch.manual_seed(0)
    x, block, narrow = torch.randn(5, 8), ResidualBlock(8, 8), ResidualBlock(8, 4)
    assert torch.equal(block(x), x + block.second.bias)
    assert torch.equal(narrow(x), x @ narrow.shortcut.weight.T + narrow.second.bias)


def test_what_all_rows_share_may_be_given_once():
    torch.manual_seed(1)
    block, own, shared = shaken(ResidualBlock(10, 5)), torch.randn(2, 7, 6), torch.randn(2, 1, 4)
    whole = block(torch.cat([own, shared.expand(2, 7, 4)], dim=2))
    torch.testing.assert_close(block.with_shared(own, shared), whole)


def test_the_point_encoder_does_what_the_published_one_does():
    torch.manual_seed(2)
    encoder, points = shaken(PointEncoder(6, 8)), torch.randn(3, 11, 3)
    features = encoder.blocks[0](encoder.lift(points))
    for block in encoder.blocks[1:]:
        pooled = features.max(dim=1, keepdim=True)[0].expand(features.size())
        features = block(torch.cat([features, pooled], dim=2))
    torch.testing.assert_close(encoder(points), encoder.code(features.max(dim=1)[0].relu()))


def test_the_pair_encoder_does_what_the_published_one_does():
    torch.manual_seed(3)
    encoder, points, inside = shaken(PairEncoder(6, 8)), torch.randn(3, 11, 3), torch.rand(3, 11) < 0.5
    features = encoder.layers[0]((encoder.label(inside.float()[..., None]) + encoder.lift(points)).relu())
    for layer in encoder.layers[1:]:
        pooled = features.max(dim=1, keepdim=True)[0].expand(features.size())
        features = layer(torch.cat([features, pooled], dim=2).relu())
    torch.testing.assert_close(encoder(points, inside), encoder.code(features.max(dim=1)[0]))


def test_the_order_of_points_and_pairs_does_not_matter_and_shapes_do_not_meet():
    torch.manual_seed(4)
    points, inside, order = torch.randn(3, 40, 3), torch.rand(3, 40) < 0.5, torch.randperm(40)
    of_points, of_pairs = shaken(PointEncoder(6, 8)), shaken(PairEncoder(6, 8))
    torch.testing.assert_close(of_points(points[:, order]), of_points(points))
    torch.testing.assert_close(of_points(points[1:2]), of_points(points)[1:2])
    torch.testing.assert_close(of_pairs(points[:, order], inside[:, order]), of_pairs(points, inside))
    torch.testing.assert_close(of_pairs(points[1:2], inside[1:2]), of_pairs(points, inside)[1:2])
    assert not torch.allclose(of_pairs(points, inside), of_pairs(points, ~inside))


@pytest.mark.parametrize("side", [2, 3, 8, 9, 33])
def test_lattices_of_any_size_have_codes_that_see_every_cell(side):
    encoder = shaken(VoxelEncoder(5, side, 3))
    voxels = torch.rand(2, side, side, side, requires_grad=True)
    codes = encoder(voxels)
    assert codes.shape == (2, 5)
    (gradient,) = torch.autograd.grad(codes.sum(), voxels)
    assert (gradient[0].flatten(1).abs().sum(dim=1) > 0).all()
    torch.testing.assert_close(encoder(voxels[1:]), codes[1:])


def test_filled_cells_are_ones():
    encoder, voxels = shaken(VoxelEncoder(5, 8, 3)), torch.rand(2, 8, 8, 8) < 0.5
    assert torch.equal(encoder(voxels), encoder(voxels.float()))


@pytest.mark.parametrize("size", [16, 24, 37, 96, 100])
def test_pictures_of_any_size_have_codes(size):
    encoder = ImageEncoder(5, size, 8, planes=4)
    assert encoder(torch.rand(2, 4, size, size)).shape == (2, 5)


def test_the_code_of_a_picture_depends_on_others_only_with_batch_norm():
    torch.manual_seed(5)
    pictures = torch.rand(4, 3, 24, 24)
    alone, together = shaken(ImageEncoder(5, 24, 8)), shaken(ImageEncoder(5, 24, 8, norm="batch"))
    torch.testing.assert_close(alone(pictures[:1]), alone(pictures)[:1])
    assert not torch.allclose(together(pictures[:2])[:1], together(pictures)[:1], atol=1e-4)
    together.eval()
    torch.testing.assert_close(together(pictures[:2])[:1], together(pictures)[:1])


def test_a_picture_moved_by_whole_blocks_within_its_frame_keeps_its_code_nearly():
    """The mean over the picture makes it so, up to what happens at the border; a flattened picture would not."""
    encoder = shaken(ImageEncoder(5, 64, 8), 1)
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, 16:24, 16:24] = torch.rand(1, 3, 8, 8)
    codes = encoder(torch.cat([picture, picture.roll((16, 16), (2, 3)), 1 - picture]))
    assert (codes[0] - codes[1]).norm() < 0.2 * (codes[0] - codes[2]).norm()


def test_the_code_has_no_say_at_first_and_then_scales_and_moves():
    torch.manual_seed(6)
    features, codes = torch.randn(2, 50, 4) * 3 + 1, torch.randn(2, 3)
    for norm in ("film", "cbn"):
        layer = CodedNorm(4, 3, norm)
        assert torch.equal(layer(features, codes), layer(features, codes + 1))
        plain = layer(features, codes)
        with torch.no_grad():
            layer.scale.weight[2, 1], layer.shift.weight[2, 0] = 2.0, 1.0
        expected = plain.clone()
        expected[..., 2] = expected[..., 2] * (1 + 2 * codes[:, 1:2]) + codes[:, :1]
        torch.testing.assert_close(layer(features, codes), expected)


def test_cbn_has_mean_0_and_variance_1_over_the_batch_and_film_at_each_point():
    torch.manual_seed(7)
    features, codes = torch.randn(2, 200, 4) * 3 + 1, torch.zeros(2, 3)
    rows = CodedNorm(4, 3, "cbn")(features, codes).flatten(0, 1)
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.var(dim=0, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)
    rows = CodedNorm(4, 3, "film")(features, codes)
    torch.testing.assert_close(rows.mean(dim=2), torch.zeros(2, 200), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.var(dim=2, unbiased=False), torch.ones(2, 200), atol=1e-2, rtol=0)


def test_cbn_uses_what_it_remembers_when_it_is_asked_for_answers():
    layer = CodedNorm(1, 1, "cbn").eval()
    layer.norm.running_mean.fill_(2.0)
    layer.norm.running_var.fill_(4.0)
    found = layer(torch.tensor([[[2.0], [6.0]]]), torch.zeros(1, 1))
    torch.testing.assert_close(found, torch.tensor([[[0.0], [2.0]]]), atol=1e-4, rtol=0)


def test_a_coded_block_by_its_published_order():
    torch.manual_seed(8)
    block, features, codes = shaken(CodedBlock(4, 3, "cbn")), torch.randn(2, 9, 4), torch.randn(2, 3)

    def norm(layer, x):
        rows = x.flatten(0, 1)
        unit = ((rows - rows.mean(dim=0)) / (rows.var(dim=0, unbiased=False) + 1e-5).sqrt()).view(x.shape)
        return layer.scale(codes)[:, None] * unit + layer.shift(codes)[:, None]

    change = block.first(norm(block.first_norm, features).relu())
    expected = features + block.second(norm(block.second_norm, change).relu())
    torch.testing.assert_close(block(features, codes), expected)


@pytest.mark.parametrize("norm", ["film", "cbn"])
def test_gradients_of_blocks_are_those_of_differences(norm):
    torch.manual_seed(9)
    block = shaken(CodedBlock(3, 2, norm)).double()
    features, codes = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(block, (features.requires_grad_(), codes.requires_grad_()))
