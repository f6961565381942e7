"""The network: its size, its lengths, and that padding and company do not matter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.model import DeepSpeech2
from deepspeech2.types import Padded


def small(**options: object) -> DeepSpeech2:
    torch.manual_seed(0)
    given: dict[str, object] = {
        "conv_channels": (4, 6),
        "conv_kernels": ((11, 5), (7, 3)),
        "conv_strides": ((2, 2), (2, 1)),
        "rnn_layers": 2,
        "rnn_size": 12,
    }
    return DeepSpeech2(20, 7, **{**given, **options})  # type: ignore[arg-type]


def utterances(*lengths: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(length, 20, generator=draw) for length in lengths]


@pytest.mark.parametrize(("n_tokens", "expected"), [(28, 28_086_844), (29, 28_087_357)])
def test_default_size_is_the_predecessors(n_tokens: int, expected: int) -> None:
    model = DeepSpeech2(128, n_tokens)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("rnn_type", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("merge", ["sum", "concat"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("taps", [(), (1,)])
def test_utterance_alone_equals_utterance_in_a_batch(
    rnn_type: str, merge: str, bidirectional: bool, taps: tuple[int, ...]
) -> None:
    shape = {"rnn_type": rnn_type, "merge": merge, "bidirectional": bidirectional}
    model = small(**shape, intermediate=taps, self_conditioned=bool(taps)).eval()
    # statistics other than 0 and 1, so that masking by accident would show
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    items = utterances(31, 7, 1, 18)
    together = model(Padded.stack(items)).unpad()
    for item, result in zip(items, together, strict=True):
        alone = model(Padded.stack([item]))
        torch.testing.assert_close(result, alone.data[0], atol=1e-5, rtol=0)


def test_what_the_padding_holds_does_not_matter() -> None:
    model = small().eval()
    batch = Padded.stack(utterances(25, 9))
    noise = Padded(torch.where(batch.mask()[..., None], batch.data, 1e3), batch.lengths)
    for one, other in zip(model(batch).unpad(), model(noise).unpad(), strict=True):
        torch.testing.assert_close(one, other)


def test_training_statistics_see_no_padding() -> None:
    """Wider padding changes neither outputs, gradients nor running statistics."""
    results = []
    for extra in (0, 40):
        model = small()
        batch = Padded.stack(utterances(24, 10, 17))
        wide = Padded(torch.nn.functional.pad(batch.data, (0, 0, 0, extra)), batch.lengths)
        out = model(wide)
        torch.cat(out.unpad()).square().sum().backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        buffers = list(model.buffers())
        results.append((out.unpad(), gradients, buffers))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    for kind in (1, 2):
        for one, other in zip(results[0][kind], results[1][kind], strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@settings(max_examples=40)
@given(
    length=st.integers(1, 60),
    kernel=st.sampled_from([1, 3, 5, 11]),
    stride=st.integers(1, 4),
    second=st.integers(1, 3),
)
def test_output_lengths_are_those_of_the_convolutions(
    length: int, kernel: int, stride: int, second: int
) -> None:
    model = small(conv_kernels=((3, kernel), (3, 3)), conv_strides=((2, stride), (1, second)))
    x = torch.zeros(1, 1, 20, length)
    for block in model.convolutions.blocks:
        x = block.convolution(x)  # type: ignore[union-attr, operator]
    claimed = model.output_lengths(torch.tensor([length]))
    assert claimed.tolist() == [x.shape[-1]]
    assert model.eval()(Padded.stack(utterances(length))).data.shape[1] == x.shape[-1]


def test_log_probabilities_sum_to_one() -> None:
    out = small()(Padded.stack(utterances(12, 5)))
    sums = torch.cat(out.unpad()).exp().sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_agrees_with_cpu() -> None:
    model = small().eval()
    batch = Padded.stack(utterances(31, 7, 18))
    there = model.cuda()(batch.to("cuda")).to("cpu")
    torch.testing.assert_close(there.data, model.cpu()(batch).data, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rnn_type": "transformer"}, "rnn_type must be one of gru, lstm, rnn"),
        ({"merge": "mean"}, "merge must be sum or concat, but is 'mean'"),
        ({"rnn_layers": 0}, "rnn_layers must be at least 1, but is 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, but is 1.0"),
        ({"conv_channels": (4,)}, "must be equally many"),
        ({"conv_kernels": ((11, 5), (7, 4))}, r"must be odd, but has \[7, 4\]"),
        ({"conv_strides": ((2, 2), (0, 1))}, r"positive numbers, but has \[0, 1\]"),
        ({"activation": "tanh"}, "activation must be one of"),
    ],
)
def test_bad_values_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**options)
