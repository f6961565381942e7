"""Losses of layers below the last: against a loss by hand, in steps, and in checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.loss import ConsistentCtcLoss, CtcLoss, as_loss
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline, check_taps
from deepspeech2.trainer import Learner, start_from
from deepspeech2.transforms import FrontEnd, LogMelSpectrogram
from deepspeech2.types import Padded, Tapped
from tests.trainer.small import as_batch, make_learner, noise

LABELS = Padded.stack([torch.tensor([1, 2, 3]), torch.tensor([4])])
TAPS: dict[str, Any] = {"intermediate": [1]}
CONDITIONED: dict[str, Any] = {"intermediate": [1], "self_conditioned": True}


def tapped(views: int = 1, n_taps: int = 2) -> Tapped:
    draw = torch.Generator().manual_seed(1)
    each = [torch.randn(2 * views, 9, 5, generator=draw).log_softmax(2) for _ in range(n_taps + 1)]
    return Tapped(each[0], torch.tensor([9, 6] * views), tuple(each[1:]))


def network(seed: int = 0, **options: Any) -> DeepSpeech2:
    torch.manual_seed(seed)
    return DeepSpeech2(
        12, 5, conv_channels=(3,), conv_kernels=((5, 3),), conv_strides=((2, 1),), rnn_layers=3,
        rnn_size=8, **options,
    )  # fmt: skip


def plain(log_probs: Tensor, lengths: Sequence[int] = (9, 6)) -> Tensor:
    frames, counts = torch.tensor(lengths), LABELS.lengths
    return functional.ctc_loss(
        log_probs.transpose(0, 1), LABELS.data, frames, counts, reduction="sum"
    )


def test_the_mean_of_the_taps_has_the_weight() -> None:
    log_probs = tapped()
    value = CtcLoss(intermediate_weight=0.3)(log_probs, LABELS)
    one, other = map(plain, log_probs.taps)
    expected = 0.7 * plain(log_probs.data) + 0.3 * (one + other) / 2
    torch.testing.assert_close(value.total, expected)
    assert value.count == 4


def test_without_a_weight_or_without_taps_it_is_plain_ctc() -> None:
    log_probs = tapped()
    alone = Padded(log_probs.data, log_probs.lengths)
    expected = CtcLoss()(alone, LABELS)
    assert CtcLoss()(log_probs, LABELS) == expected
    assert CtcLoss(intermediate_weight=0.3)(alone, LABELS) == expected
    ours = as_loss(torch.nn.CTCLoss(zero_infinity=True))
    torch.testing.assert_close(ours(log_probs, LABELS).total, expected.total)


def test_each_of_two_views_has_its_taps() -> None:
    log_probs = tapped(views=2)
    value = ConsistentCtcLoss(weight=0.4, intermediate_weight=0.3)(log_probs, LABELS)
    last = Padded(log_probs.data, log_probs.lengths)
    of_last = ConsistentCtcLoss(weight=0.4)(last, LABELS).total
    without = ConsistentCtcLoss(weight=0.0)(last, LABELS).total
    taps = [plain(view) for tap in log_probs.taps for view in tap.chunk(2)]
    expected = 0.7 * without + 0.3 * sum(taps) / 4 + (of_last - without)
    torch.testing.assert_close(value.total, expected)


def test_phones_have_their_share() -> None:
    log_probs, heard = tapped(), tapped(n_taps=0).data.flip(2)
    both = Tapped(log_probs.data, log_probs.lengths, log_probs.taps, heard)
    phones = Padded.stack([torch.tensor([1, 1]), torch.tensor([3, 2, 1, 4])])
    spoken = functional.ctc_loss(
        heard.transpose(0, 1), phones.data, both.lengths, phones.lengths, reduction="sum"
    )
    taps = sum(map(plain, log_probs.taps)) / 2
    expected = 0.5 * plain(both.data) + 0.3 * taps + 0.2 * spoken
    loss = CtcLoss(intermediate_weight=0.3, phones_weight=0.2)
    torch.testing.assert_close(loss(both, LABELS, phones=phones).total, expected)
    alone = Tapped(both.data, both.lengths, (), heard)
    found = CtcLoss(phones_weight=0.2)(alone, LABELS, phones=phones).total
    torch.testing.assert_close(found, 0.8 * plain(both.data) + 0.2 * spoken)

    # two views of each utterance have the same phones
    twice = Tapped(both.data.repeat(2, 1, 1), both.lengths.repeat(2), (), heard.repeat(2, 1, 1))
    found = ConsistentCtcLoss(phones_weight=0.2)(twice, LABELS, phones=phones).total
    torch.testing.assert_close(found, 0.8 * plain(both.data) + 0.2 * spoken)

    # more phones than frames count as zero_infinity says
    many = Padded.stack([torch.ones(9, dtype=torch.int64), torch.tensor([3, 2])])
    assert CtcLoss(phones_weight=0.2)(alone, LABELS, phones=many).total.isfinite()


@pytest.mark.parametrize("conditioned", [False, True])
def test_gradients_are_those_of_a_network_by_hand(conditioned: bool) -> None:
    """The layers one by one, each tap the output layer on the next layer's normalised input."""
    features = Padded.stack([torch.randn(9, 12), torch.randn(6, 12)])
    model = network(intermediate=[1, 2], self_conditioned=conditioned).train()
    CtcLoss(intermediate_weight=0.3)(model(features), LABELS).total.backward()
    found = {name: weight.grad for name, weight in model.named_parameters()}

    model = network(intermediate=[1, 2], self_conditioned=conditioned).train()
    x = model.convolutions(features)
    mask = x.mask()[:, :, None].float()
    data, totals = x.data, []
    for place, layer in enumerate(model.layers):
        data = layer.norm(data, mask, channel_dim=2)
        if place:
            totals.append(plain(model.output(data).log_softmax(2)))
            if model.conditioning is not None:
                data = data + model.conditioning(model.output(data).softmax(2))
        packed = torch.nn.utils.rnn.pack_padded_sequence(data, x.lengths, batch_first=True)
        ahead = torch.nn.utils.rnn.pad_packed_sequence(layer.ahead(packed)[0], True)[0]
        flipped = [row[:n].flip(0) for row, n in zip(data, x.lengths, strict=True)]
        back = [layer.back(row[None])[0][0].flip(0) for row in flipped]
        data = ahead + Padded.stack(back).data
    total = plain(model.output(model.norm(data, mask, channel_dim=2)).log_softmax(2))
    (0.7 * total + 0.3 * (totals[0] + totals[1]) / 2).backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-5)


def test_taps_are_there_in_training_alone_and_have_no_weights() -> None:
    features = Padded.stack([torch.randn(9, 12), torch.randn(6, 12)])
    model, without = network(intermediate=[1, 2]), network()
    assert len(model.train()(features).taps) == 2
    without.train()(features)
    assert type(model.eval()(features)) is Padded
    # the statistics are updated once, and no weight is more or begins elsewhere
    torch.testing.assert_close(dict(model.state_dict()), dict(without.state_dict()), rtol=0, atol=0)
    with_conditioning = network(**CONDITIONED).state_dict()
    assert with_conditioning.keys() - without.state_dict().keys() == {
        "conditioning.weight", "conditioning.bias"
    }  # fmt: skip


def learnt(learner: Learner, steps: range) -> list[Tensor]:
    batches = [[as_batch(noise(2 * n)), as_batch(noise(2 * n + 1))] for n in steps]
    results = [learner.step(each, n) for n, each in zip(steps, batches, strict=True)]
    return [*(each.total for each in results), *learner.pipeline.state_dict().values()]


def test_taps_without_weight_leave_a_run_as_it_is() -> None:
    runs = [make_learner(dropout=0.1, network_options=options) for options in ({}, TAPS)]
    expected, found = (learnt(run, range(3)) for run in runs)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    weighted = make_learner(
        dropout=0.1, network_options=TAPS, loss=CtcLoss(intermediate_weight=0.3)
    )
    assert any(not torch.equal(*pair) for pair in zip(learnt(weighted, range(3)), expected,
                                                      strict=True))  # fmt: skip


@pytest.mark.parametrize("options", [TAPS, CONDITIONED])
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("loss", [CtcLoss, ConsistentCtcLoss])
def test_a_resumed_run_is_an_uninterrupted_one(
    options: dict[str, Any], precision: str, loss: type[CtcLoss]
) -> None:
    def begin() -> Learner:
        return make_learner(
            dropout=0.1,
            network_options=options,
            loss=loss(intermediate_weight=0.3),
            precision=precision,
        )

    learner = begin()
    learnt(learner, range(3))
    weights, state = deepcopy((learner.pipeline.state_dict(), learner.state()))
    expected = learnt(learner, range(3, 6))
    resumed = begin()
    resumed.load(weights, state, Path("taps.pth"))
    torch.testing.assert_close(learnt(resumed, range(3, 6)), expected, rtol=0, atol=0)
    assert all(each.isfinite().all() for each in expected)


def test_micro_batches_add_up_and_an_empty_one_counts_for_nothing() -> None:
    gradients = []
    items = noise(3, number=6)
    loss = CtcLoss(intermediate_weight=0.3)
    for batches in ([items], [items[:1], [], items[1:]]):
        learner = make_learner(torch.optim.SGD, network_options=CONDITIONED, loss=loss)
        for module in learner.pipeline.network.modules():  # statistics are those of a batch
            for parameter in module.parameters(recurse=False) if "Norm" in repr(module) else ():
                parameter.requires_grad_(False)
        learner.step([as_batch(each) for each in batches], 0)
        gradients.append([p.grad for p in learner.pipeline.parameters() if p.requires_grad])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_weights_of_a_run_with_taps_are_those_of_one_without() -> None:
    def recipe(**options: Any) -> dict[str, Any]:
        model = {"name": "DeepSpeech2", "n_features": 12, "n_tokens": 5, **options}
        return {"model": model, "features": {}, "normalization": {}, "text_encoder": {}}

    def pipeline(seed: int, **options: Any) -> Pipeline:
        return Pipeline(FrontEnd(LogMelSpectrogram(n_mels=12)), network(seed, **options))

    old, new = pipeline(1, intermediate=[1]), pipeline(2)
    path = Path("taps.pth")
    content = {"state_dict": old.state_dict(), "recipe": recipe(intermediate=[1])}
    assert len(start_from(new, recipe(), content, path)) == 2  # and of the tokens, unknown here
    checkpoint.load_weights(new, old.state_dict(), path)
    torch.testing.assert_close(dict(new.state_dict()), dict(old.state_dict()), rtol=0, atol=0)
    lines = start_from(pipeline(2, **CONDITIONED), recipe(), content, path)
    assert any("network.conditioning begins anew" in line for line in lines)

    # a checkpoint from before there were taps
    checkpoint.check_recipe({"recipe": recipe()}, recipe(intermediate=[]), path)
    with pytest.raises(CheckpointError, match=r"intermediate=\[\], but the config says \[1\]"):
        checkpoint.check_recipe({"recipe": recipe()}, recipe(intermediate=[1]), path)


def test_a_weight_without_taps_is_refused_and_the_opposite_reported() -> None:
    weighted = CtcLoss(intermediate_weight=0.3)
    with pytest.raises(ConfigError, match=r"0\.3 needs a network with taps"):
        check_taps(network(), weighted)
    assert check_taps(network(**TAPS), weighted) == []
    assert check_taps(network(), CtcLoss()) == []
    assert "nothing learns" in str(check_taps(network(**TAPS), as_loss(torch.nn.CTCLoss())))
    assert check_taps(network(**CONDITIONED), CtcLoss())


@pytest.mark.parametrize("places", [[0], [3], [2, 1], [1, 1], [-1]])
def test_places_that_are_no_layers_below_the_last_are_refused(places: list[int]) -> None:
    with pytest.raises(ConfigError, match="intermediate must be ascending numbers"):
        network(intermediate=places)


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"intermediate_weight must .* but is 1\.0"):
        CtcLoss(intermediate_weight=1.0)
    with pytest.raises(ConfigError, match=r"model\.intermediate=\[1\]"):
        network(self_conditioned=True)
