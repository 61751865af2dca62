import pytest
import torch

from passes.masks import per_sample_masks
from regdrop import attach
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel, build_encoder_decoder
from regdrop.tasks.tokens.batches import TokenBatches
from regdrop.tasks.tokens.bpe import EOS, PAD, train_bpe
from regdrop.tasks.tokens.pairs import PairDataset, TextPairs, collate
from seq2seq_files import english, german

PAIRS = TextPairs([german(i) for i in range(20)], [english(i) for i in range(20)])
BPE = train_bpe(PAIRS.sources + PAIRS.targets, 300)


def test_tokens_and_references_are_the_texts():
    data = PairDataset(PAIRS, BPE, positions=64)
    assert len(data) == 20
    for i in range(20):
        source, target = data[i]
        assert BPE.decode(source.tolist()).strip() == PAIRS.sources[i]
        assert BPE.decode(target.tolist()).strip() == data.references[i] == PAIRS.targets[i]
        assert data.lengths[i] == max(len(source), len(target))


def test_a_long_text_is_cut_and_still_ends():
    data = PairDataset(PAIRS, BPE, positions=5)
    source, target = data[7]
    assert len(source) == len(target) == 5
    assert source[-1] == target[-1] == EOS
    assert data.references[7] == PAIRS.targets[7]


def test_a_batch_is_padded_and_its_decoder_reads_the_label_before():
    batch = collate([PairDataset(PAIRS, BPE, 64)[i] for i in range(9)])
    inputs, labels, before = batch["input_ids"], batch["labels"], batch["decoder_input_ids"]
    assert torch.equal(batch["attention_mask"].bool(), inputs != PAD)
    assert (before[:, 0] == EOS).all()
    counted = labels[:, :-1] != -100
    assert torch.equal(before[:, 1:][counted], labels[:, :-1][counted])
    assert (before[:, 1:][~counted] == PAD).all()
    assert not (labels == PAD).any()


# The loss: the same items in one batch, or cut into batches any way, give the same value and gradient.

MODEL = EncoderDecoderModel(vocabulary=60, width=16, feed_forward=32, layers=1, heads=2, positions=16, dropout=0.3)


def items(count=12):
    """Each begins with a token of its own, by which the masks know it."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 9, (count, 2), generator=generator).tolist()

    def text(first, length):
        return torch.cat([torch.tensor([first]), torch.randint(4, 60, (length,), generator=generator)])

    return [(text(10 + i, source), text(10 + i, target)) for i, (source, target) in enumerate(lengths)]


def trained_on(batches, total, alpha):
    """Summed loss and gradients of one step over these batches, in double precision."""
    torch.manual_seed(0)
    network = build_encoder_decoder(MODEL).double()
    attach(network, alpha, label_smoothing=0.1)
    loss = torch.zeros((), dtype=torch.float64)
    with per_sample_masks(network):
        for batch in batches:
            part = network(**collate(batch), num_items_in_batch=total).loss
            part.backward()
            loss += part.detach()
    return loss, {name: weight.grad for name, weight in network.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("alpha", [0.0, 5.0])
@pytest.mark.parametrize("tokens", [9, 20, 60])
def test_padding_bucketing_and_accumulation_move_neither_loss_nor_gradient(tokens, alpha):
    data = items()
    total = sum(len(target) for _, target in data)
    loss, gradients = trained_on([data], total, alpha)
    lengths = [max(len(source), len(target)) for source, target in data]
    bucketed = [[data[i] for i in batch] for batch in TokenBatches(lengths, tokens, seed=3)]
    assert len(bucketed) > 1
    other_loss, other_gradients = trained_on(bucketed, total, alpha)
    torch.testing.assert_close(other_loss, loss, rtol=1e-9, atol=1e-9)
    for name, gradient in gradients.items():
        torch.testing.assert_close(other_gradients[name], gradient, rtol=1e-8, atol=1e-9, msg=name)
