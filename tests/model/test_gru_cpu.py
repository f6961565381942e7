"""The compiled recurrence: the same states and gradients as nn.GRU on each utterance alone."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deepspeech2.model import gru_cpu
from deepspeech2.model.gru_cpu import in_parallel, run_directions, supports
from deepspeech2.model.layers import RecurrentLayer, reversal
from deepspeech2.types import Padded


def cells(n_inputs: int, size: int, count: int) -> list[nn.GRU]:
    torch.manual_seed(3)
    return [nn.GRU(n_inputs, size, batch_first=True) for _ in range(count)]


def alone(layers: list[nn.GRU], data: Tensor, lengths: Tensor) -> list[Tensor]:
    """Each utterance by itself through nn.GRU, the second direction on reversed frames."""
    outs = []
    for number, layer in enumerate(layers):
        rows = []
        for row, length in zip(data, lengths.tolist(), strict=True):
            frames = row[:length].flip(0) if number else row[:length]
            states = layer(frames[None])[0][0]
            states = states.flip(0) if number else states
            rows.append(nn.functional.pad(states, (0, 0, 0, data.shape[1] - length)))
        outs.append(torch.stack(rows))
    return outs


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    size=st.integers(1, 11),
    count=st.integers(1, 2),
    extra=st.integers(0, 2),
)
def test_equals_each_utterance_alone(lengths: list[int], size: int, count: int, extra: int) -> None:
    layers = cells(4, size, count)
    draw = torch.Generator().manual_seed(5)
    shape = len(lengths), max(lengths) + extra
    data = (3 * torch.randn(*shape, 4, generator=draw)).requires_grad_()
    above = [torch.randn(*shape, size, generator=draw) for _ in layers]
    parameters = [data, *(each for layer in layers for each in layer.parameters())]
    results = []
    for states in (
        run_directions(layers, data, torch.tensor(lengths)),
        alone(layers, data, torch.tensor(lengths)),
    ):
        total = sum((s * a).sum() for s, a in zip(states, above, strict=True))
        results.append((states, torch.autograd.grad(total, parameters)))
    for ours, theirs in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
    for ours, theirs in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(ours, theirs, atol=3e-5, rtol=1e-4)


@pytest.fixture(params=["with AMX", "without"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to multiply in bfloat16, of which a processor may have one."""
    if request.param == "without":
        monkeypatch.setattr(gru_cpu, "has_amx", lambda: False)
    elif not gru_cpu.has_amx():
        pytest.skip("needs a processor with AMX")


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("n_rows", "n_inputs", "size"), [(3, 4, 7), (19, 33, 64), (16, 64, 160)])
def test_bf16_is_near_float32(n_rows: int, n_inputs: int, size: int) -> None:
    """Its numbers have 8 bits, so one of them is wrong by up to 2^-9, or 0.2 %, of itself."""
    layers = cells(n_inputs, size, 2)
    draw = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 21, (n_rows,), generator=draw)
    lengths[0] = 20
    mask = torch.arange(20)[:, None] < lengths[:, None, None]
    data = (torch.randn(n_rows, 20, n_inputs, generator=draw) * mask).requires_grad_()
    above = [torch.randn(n_rows, 20, size, generator=draw) for _ in layers]
    parameters = [data, *(each for layer in layers for each in layer.parameters())]
    results = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            states = run_directions(layers, data, lengths)
        total = torch.stack([(s * a).sum() for s, a in zip(states, above, strict=True)]).sum()
        results.append((*states, *torch.autograd.grad(total, parameters)))
    for exact, near in zip(*results, strict=True):
        assert near.dtype == torch.float32
        assert 0 < (near - exact).norm() < 0.01 * exact.norm()
    for states in results[1][:2]:
        assert not states[~mask.expand_as(states)].any()


@pytest.mark.usefixtures("products")
def test_bf16_neither_depends_on_the_batch_nor_hides_what_is_not_a_number() -> None:
    layers = cells(6, 8, 2)
    lengths = torch.tensor([9, 4, 7] + 15 * [8])
    data = torch.randn(18, 9, 6, generator=torch.Generator().manual_seed(2))
    data[3, 2, 0] = float("nan")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        together = run_directions(layers, data, lengths)
        for row in (0, 1, 17):
            alone = run_directions(layers, data[row : row + 1], lengths[row : row + 1])
            for one, all_rows in zip(alone, together, strict=True):
                assert torch.equal(one[0], all_rows[row])
        finite = together[0][3].isfinite().all(1)
    assert finite.tolist() == [True, True] + 6 * [False] + [True]  # the last is padding


def test_other_users_of_amx_between_frames_change_nothing() -> None:
    """Tiles are a thread's own, and oneDNN gives them other shapes."""
    layers = cells(64, 64, 2)
    data = torch.randn(4, 30, 64, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([30, 11, 25, 2])
    other = torch.randn(96, 160).bfloat16()
    results, products = [], []
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for _ in range(3):
            results.append(torch.stack(run_directions(layers, data, lengths)))
            products.append(other @ other.t())
    assert all(torch.equal(each, results[0]) for each in results)
    assert all(torch.equal(each, products[0]) for each in products)


@pytest.mark.parametrize("merge", ["sum", "concat"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_layer_is_the_same_with_and_without(
    merge: str, bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(6, 8, cell="gru", bidirectional=bidirectional, merge=merge, dropout=0.0)
    lengths = torch.tensor([12, 5, 9])
    batch = Padded(torch.randn(3, 12, 6), lengths)
    mask = batch.mask().unsqueeze(2).float()
    reverse = reversal(lengths, 12).unsqueeze(2)
    results = []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(gru_cpu, "supports", lambda cells, data: False)
        out = layer(Padded(batch.data * mask, lengths), mask, reverse).data
        gradients = torch.autograd.grad(out.square().sum(), list(layer.parameters()))
        with torch.inference_mode():
            inferred = layer(Padded(batch.data * mask, lengths), mask, reverse).data
        results.append((out, inferred, *gradients))
    assert "_Gru" in graph(results[0][0])
    assert "_Gru" not in graph(results[1][0])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def graph(out: Tensor) -> str:
    """The names of the operations that a tensor came from."""
    seen, waiting = set(), [out.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(each for each, _ in node.next_functions)
    return " ".join(sorted({type(node).__name__ for node in seen}))


def test_what_the_cpu_computes_with_it() -> None:
    torch.manual_seed(0)
    data = torch.zeros(1, 2, 4)
    gru, lstm = cells(4, 3, 2), [nn.LSTM(4, 3, batch_first=True)]
    assert supports(gru, data)
    assert not supports(lstm, data)
    assert not supports(gru, data.double())
    with torch.inference_mode():
        assert supports(gru, data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert supports(gru, data)
    with torch.autocast("cpu", dtype=torch.float16):
        assert not supports(gru, data)
    layer = RecurrentLayer(4, 3, cell="gru", bidirectional=True, merge="sum", dropout=0.0)
    lengths = torch.tensor([2])
    ones = torch.ones(1, 2, 1)
    out = layer(Padded(data, lengths), ones, reversal(lengths, 2).unsqueeze(2)).data
    assert "_Gru" in graph(out)


def test_two_threads_give_what_one_gives() -> None:
    layers = cells(5, 7, 2)
    data = torch.randn(4, 30, 5, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([30, 11, 25, 2])
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = run_directions(layers, data, lengths)
            parameters = [each for layer in layers for each in layer.parameters()]
            results.append((*out, *torch.autograd.grad(out[0].sum() + out[1].sum(), parameters)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_directions_run_in_threads_of_their_own() -> None:
    """Each waits for the other, so one after the other would never end."""
    meeting = threading.Barrier(2, timeout=30)

    def attend() -> tuple[Tensor, ...]:
        meeting.wait()
        return ()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert in_parallel([attend, attend]) == [(), ()]
    finally:
        torch.set_num_threads(before)


def test_what_is_not_a_number_is_not_hidden() -> None:
    layers = cells(3, 4, 1)
    for bad in (float("nan"), float("inf")):
        data = torch.zeros(1, 3, 3)
        data[0, 1, 0] = bad
        states = run_directions(layers, data, torch.tensor([3]))[0]
        assert states[0, 0].isfinite().all()
        expected = layers[0](data)[0].isfinite()
        assert torch.equal(states.isfinite(), expected)


def test_gates_are_exact_to_the_ends_of_their_range() -> None:
    """A GRU whose input passes through one gate alone, from -100 to 100."""
    layer = cells(1, 1, 1)[0]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0[2] = 1.0  # n = tanh(x), and h' = n / 2
    x = torch.cat((torch.linspace(-100, 100, 4001), torch.linspace(-1, 1, 4001)))
    states = run_directions([layer], x.view(-1, 1, 1), torch.ones(len(x), dtype=torch.int64))[0]
    torch.testing.assert_close(states.flatten(), x.tanh() / 2, atol=1e-7, rtol=0)


def test_a_gradient_of_the_gradient_is_refused() -> None:
    """It has none, and without a word a penalty on gradients would lack this layer's part."""
    data = torch.randn(2, 5, 4, requires_grad=True)
    states = run_directions(cells(4, 3, 2), data, torch.tensor([5, 2]))
    loss = (data**3).sum() + sum(each.sum() for each in states)
    (gradient,) = torch.autograd.grad(loss, data, create_graph=True)
    with pytest.raises(RuntimeError, match="is differentiable once"):
        gradient.square().sum().backward()


def test_compiling_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    """A process that finds the machine code of an earlier one has nothing to announce."""
    gru_cpu.compile_kernels()
    gru_cpu.compile_kernels.cache_clear()
    caplog.clear()
    with caplog.at_level("INFO"):
        gru_cpu.compile_kernels()
    assert not caplog.records
