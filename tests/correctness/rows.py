"""The rows of the table: every head of `passes.tiny`, a PEFT model and a module that takes no loss arguments."""

from types import SimpleNamespace

import torch
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

from passes.tiny import BY_NAME, CASES, CLASSES, Case


class OwnClassifier(nn.Module):
    """A user's module: no `**kwargs` in its forward, so a Trainer never tells it how many items there are."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(is_encoder_decoder=False)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.Dropout(0.3), nn.Linear(32, CLASSES))

    def forward(self, pixel_values, labels=None):
        logits = self.body(pixel_values)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


class OwnCase(Case):
    def model(self, seed=0):
        torch.manual_seed(seed)
        return OwnClassifier().train()


class LoraCase(Case):
    def model(self, seed=0):
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        options = {
            "r": 2,
            "lora_dropout": 0.3,
            "lora_alpha": 2,
            "init_lora_weights": False,
            "target_modules": ["q_proj", "v_proj"],
        }
        return get_peft_model(super().model(seed), LoraConfig(task_type="CAUSAL_LM", **options)).train()


_llama = BY_NAME["Llama causal LM"]
ROWS = [
    *CASES,
    LoraCase("Llama + LoRA", "causal", _llama.model_class, _llama.config_class, _llama.config),
    OwnCase("own module", "image", OwnClassifier, SimpleNamespace, {}),
]

# Heads whose items a Trainer does not count: it averages the means of the micro-batches, which is the mean over all
# items where they hold equally many. Their batches are made so; all other rows have a short last micro-batch.
UNCOUNTED = {"BERT question answering", "own module"}


def samples_of(row, processes=1):
    """Eight samples, or seven for a last batch that is short; processes get equally many, as samplers see to it."""
    return row.samples(8 if row.name in UNCOUNTED or processes > 1 else 7)
