"""Looking up a texture: closed forms between texels, outside 0 to 1, and for the halved images."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shapetool.render.colours.texture import Texture, decode, from_linear, halved, to_linear
from tests.render.painted_files import letter, png


def ramp() -> Texture:
    """Four texels side by side, each of another brightness."""
    return Texture(np.repeat(np.array([[[10], [90], [170], [250]]], np.uint8), 3, axis=2))


def at(texture: Texture, u: list[float], v: float = 0.5) -> np.ndarray:
    """The brightness of an image file at texture coordinates."""
    uv = np.column_stack([u, np.full(len(u), v)])
    return 255 * from_linear(texture.light(uv))[:, 0]


def test_colours_are_their_light_and_back():
    values = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(from_linear(to_linear(values)), values, atol=1e-7)  # the standard's own two pieces
    # Rec. IEC 61966-2-1: a half is 21.4 % of the light.
    assert to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize(
    ("wrap", "outside"),
    [
        ("repeat", {-0.125: 250, 1.125: 10, 2.375: 90, -1.875: 10}),
        ("clamp", {-0.125: 10, 1.125: 250, 2.375: 250, -1.875: 10}),
        ("mirror", {-0.125: 10, 1.125: 250, 1.375: 170, 2.375: 90, -0.875: 250, -1.875: 10}),
    ],
)
def test_outside_the_image_it_goes_on_as_its_wrapping_says(wrap, outside):
    texture = ramp()
    texture.wrap = (wrap, "clamp")
    np.testing.assert_allclose(at(texture, list(outside)), list(outside.values()), atol=1e-4)
    turned = Texture(ramp().pixels.transpose(1, 0, 2), ("clamp", wrap))
    found = [255 * from_linear(turned.light(np.array([[0.5, v]])))[0, 0] for v in outside]
    np.testing.assert_allclose(found, list(outside.values()), atol=1e-4)


def test_just_below_an_edge_there_is_a_texel_too():
    # The modulus of a negative number too small to change the size is the size itself.
    for u in (-1e-18, -1e-17, 1 - 2**-53, 1e15, -1e15):
        assert np.isfinite(at(ramp(), [u])).all()


def test_between_texels_the_light_is_bilinear():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    light = to_linear(image / 255)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 6, 300), rng.uniform(0, 4, 300)  # between the centres of the outer texels
    found = Texture(image).light(np.column_stack([(x + 0.5) / 7, (y + 0.5) / 5]))
    i, j = x.astype(int), y.astype(int)
    s, t = (x - i)[:, None], (y - j)[:, None]
    i1, j1 = np.minimum(i + 1, 6), np.minimum(j + 1, 4)
    expected = (light[j, i] * (1 - s) + light[j, i1] * s) * (1 - t) + (light[j1, i] * (1 - s) + light[j1, i1] * s) * t
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7)  # a few roundings of float32


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 100, 101])
def test_halving_is_the_mean_over_the_exact_share(count):
    values = np.random.default_rng(count).random((count, 3))
    half = max(count // 2, 1)
    # Each row cut into `half` equal pieces, then means of `count` pieces.
    expected = np.repeat(values, half, axis=0).reshape(half, count, 3).mean(axis=1)
    np.testing.assert_allclose(halved(values), expected, atol=1e-12)


def test_the_coarsest_image_is_the_mean_light():
    image = np.random.default_rng(2).integers(0, 256, (37, 64, 3), dtype=np.uint8)
    found = Texture(image).light(np.array([[0.3, 0.8]]), level=30)
    # Six levels, each rounded to half a step of 255, whose light is at most 2.3 steps of light steep.
    np.testing.assert_allclose(found[0], to_linear(image / 255).mean(axis=(0, 1)), atol=6 * 0.5 * 2.3 / 255)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TGA", "TIFF", "PPM"])
def test_images_of_every_exact_format_are_read_to_the_byte(kind):
    stream = BytesIO()
    Image.fromarray(letter()).save(stream, kind)
    pixels, clear = decode(stream.getvalue(), 1000)
    assert np.array_equal(pixels, letter())
    assert not clear


def test_sixteen_bits_are_scaled_and_one_channel_is_grey():
    grey = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    pixels, _ = decode(png(grey), 1000)
    assert np.array_equal(pixels, np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2))


def test_a_palette_with_a_transparent_entry_is_seen():
    image = Image.fromarray(letter()).convert("P")
    stream = BytesIO()
    image.save(stream, "PNG", transparency=image.getpixel((0, 0)))
    assert decode(stream.getvalue(), 1000)[1]
