"""Muon: what is known of its steps by algebra, and the steps of torch's own."""

import pytest
import torch

from shapetool.training.muon import COEFFICIENTS, ROUNDS, Muon, orthogonalised


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4)])
def test_singular_values_follow_the_polynomial_and_singular_vectors_stay(shape):
    torch.manual_seed(0)
    matrix, other = torch.randn((2, *shape), dtype=torch.float64)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    a, b, c = COEFFICIENTS
    wanted = values / values.norm()
    for _ in range(ROUNDS):
        wanted = a * wanted + b * wanted**3 + c * wanted**5
    found = orthogonalised(torch.stack([other, 1e3 * matrix]))[1]
    torch.testing.assert_close(found, u @ torch.diag(wanted) @ v)
    assert wanted.min() > 0.6
    assert wanted.max() < 1.3


def test_a_matrix_of_zeros_stays():
    assert torch.equal(orthogonalised(torch.zeros(1, 3, 2)), torch.zeros(1, 3, 2))


@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (8, 24)])
def test_steps_are_those_of_torch_but_for_its_rounding(shape):
    torch.manual_seed(1)
    ours, theirs = ([torch.nn.Parameter(torch.zeros(size)) for size in (shape, (4, 6), shape)] for _ in range(2))
    mine, other = Muon([{"params": ours}], lr=0.1), torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0)
    for _ in range(10):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        mine.step()
        other.step()
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() < 0.05 * b.norm()  # bfloat16 has 8 bits


def test_what_has_no_gradient_stays_and_is_not_remembered():
    still = torch.nn.Parameter(torch.ones(2, 2))
    muon = Muon([{"params": [still]}])
    muon.step()
    assert torch.equal(still, torch.ones(2, 2))
    assert muon.state_dict()["state"] == {}


def test_the_weights_of_a_convolution_move_as_the_matrix_with_a_row_for_each_channel():
    torch.manual_seed(2)
    kernel, matrix = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((6, 2, 3, 3), (6, 18)))
    muon = Muon([{"params": [kernel, matrix]}], lr=0.1)
    for _ in range(3):
        kernel.grad = torch.randn(6, 2, 3, 3)
        matrix.grad = kernel.grad.reshape(6, 18).clone()
        muon.step()
    assert matrix.norm() > 0.1
    torch.testing.assert_close(kernel.reshape(6, 18), matrix)
