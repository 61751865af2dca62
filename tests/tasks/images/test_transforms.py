import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.tasks.images.transforms import Prepare, shift


def pictures(items=6, channels=3, size=16):
    return torch.randint(0, 256, (items, channels, size, size), dtype=torch.uint8)


def noise(items=6, seed=0):
    return torch.randint(1 << 62, (items,), generator=torch.Generator().manual_seed(seed))


def slow_shift(picture, down, right):
    """Move one picture by `down` and `right` pixels, black coming in."""
    moved = torch.zeros_like(picture)
    _, height, width = picture.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                moved[:, row, column] = picture[:, row + down, column + right]
    return moved


def test_evaluation_only_scales_the_pixels():
    pixels = pictures()
    prepared = Prepare(16, "none")(pixels, noise())
    torch.testing.assert_close(prepared, pixels.double().div(127.5).sub(1).float())
    assert prepared.min() >= -1
    assert prepared.max() <= 1


def test_evaluation_resizes():
    flat = torch.full((2, 3, 16, 16), 51, dtype=torch.uint8)
    torch.testing.assert_close(Prepare(24, "none")(flat, noise(2)), torch.full((2, 3, 24, 24), -0.6))


@given(st.integers(0, 24), st.integers(0, 24))
def test_shift_against_moving_each_pixel(first, second):
    pixels = torch.arange(2 * 2 * 16 * 16).remainder(256).to(torch.uint8).view(2, 2, 16, 16)
    moved = shift(pixels, torch.tensor([first, second]))
    for picture, result, number in zip(pixels, moved, (first, second), strict=True):
        assert torch.equal(result, slow_shift(picture, number % 5 - 2, number // 5 - 2))


def test_shift_flip_mirrors_about_half_of_the_images():
    pixels = torch.zeros(400, 1, 16, 16, dtype=torch.uint8)
    pixels[..., 0:4, 0:4] = 255  # stays in the left half however it is moved
    left = Prepare(16, "shift_flip")(pixels, noise(400))[..., :8].amax((1, 2, 3)) > 0
    assert 140 < left.sum() < 260


@pytest.mark.parametrize("augmentation", ["none", "shift", "shift_flip", "resized_crop"])
def test_the_numbers_handed_in_decide_alone(augmentation):
    prepare, pixels = Prepare(16, augmentation), pictures()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = prepare(pixels, noise(seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(prepare(pixels, noise(seed=1)), first)
    assert torch.equal(prepare(pixels[3:], noise(seed=1)[3:]), first[3:])
    assert torch.equal(prepare(pixels, noise(seed=2)), first) == (augmentation == "none")


def test_resized_crops_have_the_size_of_the_model_and_stay_inside():
    crops = Prepare(32, "resized_crop")(torch.full((20, 3, 16, 16), 255, dtype=torch.uint8), noise(20))
    assert crops.shape == (20, 3, 32, 32)
    assert crops.min() == 1
