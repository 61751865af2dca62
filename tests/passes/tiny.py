"""Tiny random models with one head of each kind, samples of uneven length, and their collator."""

from dataclasses import dataclass
from functools import partial

import torch
import transformers as hf
from torch.nn.utils.rnn import pad_sequence

VOCAB, PAD, CLASSES = 64, 0, 3
BASE = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}
BERT = BASE | {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
GPT2 = {
    "vocab_size": VOCAB,
    "n_positions": 64,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "resid_pdrop": 0.3,
    "embd_pdrop": 0.2,
    "attn_pdrop": 0.2,
    "attn_implementation": "eager",
}
BART = {
    "vocab_size": VOCAB,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "dropout": 0.3,
    "attention_dropout": 0.2,
    "activation_dropout": 0.1,
    "attn_implementation": "eager",
}
T5 = {
    "vocab_size": VOCAB,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 1,
    "num_heads": 2,
    "dropout_rate": 0.3,
    "pad_token_id": PAD,
    "eos_token_id": 2,
    "decoder_start_token_id": PAD,
    "attn_implementation": "eager",
}
LLAMA = BASE | {"num_key_value_heads": 1, "attention_dropout": 0.3}
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 8,
    "patch_size": 4,
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.2,
    "attn_implementation": "eager",
}
MODERNBERT = BASE | {"embedding_dropout": 0.2, "mlp_dropout": 0.3, "attention_dropout": 0.2, "classifier_dropout": 0.1}


@dataclass(frozen=True)
class Case:
    """One head: how to build it, and what its samples and its loss are."""

    name: str
    kind: str
    model_class: type
    config_class: type
    config: dict

    def model(self, seed=0):
        """Larger weights than a fresh model has, so that passes differ by more than rounding; T5's are large enough."""
        torch.manual_seed(seed)
        model = self.model_class(self.config_class(**self.config)).train()
        for parameter in model.parameters():
            if parameter.ndim > 1 and self.model_class is not hf.T5ForConditionalGeneration:
                torch.nn.init.normal_(parameter, std=0.1)
        return model

    def samples(self, count, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return [SAMPLES[self.kind](index, generator) for index in range(count)]

    def batch(self, count, seed=0):
        return collate(self.samples(count, seed))


def _case(name, kind, family, suffix, config, **more):
    model_class = getattr(hf, f"{family}{suffix}")
    return Case(name, kind, model_class, model_class.config_class, config | more)


CASES = [
    _case(
        "BERT sequence classification", "single_label", "Bert", "ForSequenceClassification", BERT, num_labels=CLASSES
    ),
    _case("BERT regression", "regression", "Bert", "ForSequenceClassification", BERT, num_labels=1),
    _case("BERT multi-label", "multilabel", "Bert", "ForSequenceClassification", BERT, num_labels=CLASSES),
    _case("BERT token classification", "tokens", "Bert", "ForTokenClassification", BERT, num_labels=CLASSES),
    _case("BERT masked LM", "masked_lm", "Bert", "ForMaskedLM", BERT),
    _case("BERT multiple choice", "choices", "Bert", "ForMultipleChoice", BERT),
    _case("BERT question answering", "qa", "Bert", "ForQuestionAnswering", BERT),
    _case(
        "RoBERTa sequence classification", "single_label", "Roberta", "ForSequenceClassification", BERT, num_labels=3
    ),
    _case(
        "ModernBERT sequence class.",
        "single_label",
        "ModernBert",
        "ForSequenceClassification",
        MODERNBERT,
        num_labels=3,
    ),
    _case("GPT-2 causal LM", "causal", "GPT2", "LMHeadModel", GPT2),
    _case("Llama causal LM", "causal", "Llama", "ForCausalLM", LLAMA),
    _case("T5 seq2seq", "seq2seq", "T5", "ForConditionalGeneration", T5),
    _case("BART seq2seq", "seq2seq", "Bart", "ForConditionalGeneration", BART),
    _case("Marian seq2seq", "seq2seq", "Marian", "MTModel", BART),
    _case("ViT image classification", "image", "ViT", "ForImageClassification", VIT, num_labels=CLASSES),
]
BY_NAME = {case.name: case for case in CASES}


def _randint(generator, low, high, *shape):
    return torch.randint(low, high, shape, generator=generator)


def _tokens(index, generator, length=None):
    """A first token that no other sample has, then random ones."""
    length = length or 4 + int(_randint(generator, 0, 12, 1))
    return torch.cat([torch.tensor([4 + index]), _randint(generator, 30, VOCAB, length - 1)])


def _single_label(index, generator):
    return {"input_ids": _tokens(index, generator), "labels": _randint(generator, 0, CLASSES, 1)[0]}


def _regression(index, generator):
    return {"input_ids": _tokens(index, generator), "labels": torch.randn((), generator=generator)}


def _multilabel(index, generator):
    return {"input_ids": _tokens(index, generator), "labels": _randint(generator, 0, 2, CLASSES).float()}


def _per_token(index, generator, classes):
    tokens = _tokens(index, generator)
    labels = _randint(generator, 0, classes, len(tokens))
    labels[torch.rand(len(tokens), generator=generator) < 0.3] = -100
    labels[1] = 1  # every sample has a token that counts
    return {"input_ids": tokens, "labels": labels}


def _choices(index, generator):
    rows = [_tokens(index, generator, 5) for _ in range(4)]
    return {"input_ids": torch.stack(rows), "labels": _randint(generator, 0, 4, 1)[0]}


def _qa(index, generator):
    tokens = _tokens(index, generator, 7)  # one length: padding takes part in this head's softmax
    start, end = _randint(generator, 0, len(tokens), 2)
    return {"input_ids": tokens, "start_positions": start, "end_positions": end}


def _causal(index, generator):
    tokens = _tokens(index, generator)
    labels = tokens.clone()
    labels[0 : int(_randint(generator, 0, 3, 1))] = -100  # a prompt
    return {"input_ids": tokens, "labels": labels}


def _seq2seq(index, generator):
    target = _randint(generator, 4, VOCAB, 3 + int(_randint(generator, 0, 9, 1)))
    return {"input_ids": _tokens(index, generator), "labels": target}


def _image(index, generator):
    pixels = torch.rand(3, 8, 8, generator=generator)
    pixels[0, 0, 0] = index / 16
    return {"pixel_values": pixels, "labels": _randint(generator, 0, CLASSES, 1)[0]}


SAMPLES = {
    "single_label": _single_label,
    "regression": _regression,
    "multilabel": _multilabel,
    "tokens": partial(_per_token, classes=CLASSES),
    "masked_lm": partial(_per_token, classes=VOCAB),
    "choices": _choices,
    "qa": _qa,
    "causal": _causal,
    "seq2seq": _seq2seq,
    "image": _image,
}


def collate(samples):
    """Pad to the longest of the batch."""
    batch = {}
    for name in samples[0]:
        parts = [sample[name] for sample in samples]
        if parts[0].ndim == 1 and parts[0].dtype == torch.long:
            batch[name] = pad_sequence(parts, True, PAD if name == "input_ids" else -100)
        else:
            batch[name] = torch.stack(parts)
    if "input_ids" in batch:
        batch["attention_mask"] = (batch["input_ids"] != PAD).long()
    return batch
