import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from regdrop.tasks.evaluation.generation import generate
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel, build_encoder_decoder
from regdrop.tasks.tokens.bpe import train_bpe
from regdrop.tasks.tokens.pairs import PairDataset, TextPairs, collate

PAIRS = TextPairs(
    ["Hund", "zwei Hunde", "Vogel", "ein Vogel im Haus"], ["dog", "two dogs", "bird", "a bird in the house"]
)
PART = PairDataset(PAIRS, train_bpe((PAIRS.sources + PAIRS.targets) * 2, 290), positions=24)
MODEL = EncoderDecoderModel(
    vocabulary=300, width=32, feed_forward=64, layers=1, heads=2, positions=24, beams=2, max_output=9
)


def network():
    torch.manual_seed(0)
    return build_encoder_decoder(MODEL)


def trained():
    """A network that knows the four answers by heart."""
    net = network().eval()  # without dropout it learns them sooner
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    batch = collate([PART[i] for i in range(4)])
    for _ in range(100):
        net(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return net


def test_batches_of_any_size_write_the_right_texts_in_their_order():
    net = trained()
    for batch in (1, 3, 32):
        assert generate(net, PART, batch=batch) == PAIRS.targets


def test_dropout_is_off_while_writing_and_back_on_afterwards():
    net = network().train()
    first, second = (generate(net, PART, batch=4) for _ in range(2))
    assert first == second
    assert any(first)
    assert net.training


def test_progress_goes_to_standard_error(capsys):
    generate(network(), PART, batch=2, progress=True)
    shown = capsys.readouterr()
    assert "writing" in shown.err
    assert "/2 [" in shown.err
    assert not shown.out


def test_two_processes_share_the_batches_and_both_get_all_texts(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(launch, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in range(2):
        told = json.loads((tmp_path / f"{rank}.json").read_text())
        assert told["texts"] == PAIRS.targets
        assert told["batches"] == 2


def main(folder):
    """One of the two processes: what it gets, and for how many batches it asked the network."""
    PartialState(cpu=True)  # as the Trainer's arguments do it
    net, asked = trained(), []
    write = net.generate
    net.generate = lambda *args, **kwargs: (asked.append(1), write(*args, **kwargs))[1]
    told = {"texts": generate(net, PART, batch=1), "batches": len(asked)}
    Path(folder, f"{os.environ['RANK']}.json").write_text(json.dumps(told))
    PartialState().destroy_process_group()  # else who ends last may be aborted


if __name__ == "__main__":
    main(sys.argv[1])
