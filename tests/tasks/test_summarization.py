import json

import pytest
from rouge_score import rouge_scorer, scoring

from regdrop.tasks import summarization
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel
from regdrop.tasks.summarization import TASK, SummaryData, load_summaries, rouge_scores
from regdrop.tasks.tokens.pairs import PairDataset
from seq2seq_files import summary_row, write_parts

MODEL = EncoderDecoderModel(vocabulary=300, width=16, feed_forward=32, layers=1, heads=2, positions=64)
WRITTEN = ["a fast shell. it runs.", "library for parsing files", "", "Running tests, quickly"]
REFERENCES = ["a small shell\nit runs", "libraries that parse a file", "nothing", "quick runs of tests"]


def test_articles_and_highlights(tmp_path):
    splits = load_summaries(SummaryData(path=str(write_parts(tmp_path, summary_row))), MODEL, 0)
    assert splits.train.references[2] == summary_row(2)["highlights"]
    assert len(splits.test) == 6
    assert splits.train.lengths.max() <= 64


def test_descriptions_of_an_earlier_run(tmp_path):
    path = tmp_path / "descriptions.jsonl"
    rows = [
        {"source": f"p{chr(97 + i % 26)}{i // 26 * 'x'}", "synopsis": f"s{i}", "text": f"long {i}"} for i in range(99)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    splits = load_summaries(SummaryData(kind="debian", path=str(path)), MODEL, 0)
    parts = [set(part.references) for part in (splits.train, splits.validation, splits.test)]
    assert set.union(*parts) == {row["synopsis"] for row in rows}
    assert sum(map(len, parts)) == 99


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL"])
def test_rouge_equals_the_reference_tool_s_mean(name):
    """Its own aggregator over its own scores of the stored outputs, one sentence a line or not."""
    scorer = rouge_scorer.RougeScorer([name], use_stemmer=True)
    aggregator = scoring.BootstrapAggregator(n_samples=2)
    scores = [scorer.score(one, other) for one, other in zip(REFERENCES, WRITTEN, strict=True)]
    for score in scores:
        aggregator.add_scores(score)
    lowest, highest = (pick(score[name].fmeasure for score in scores) for pick in (min, max))
    found = rouge_scores(REFERENCES, WRITTEN)[name]
    assert found == pytest.approx(sum(score[name].fmeasure for score in scores) / 4)
    assert lowest <= found <= highest
    assert found > 0.1 or name == "rouge2"


def test_the_sum_of_sentences_equals_the_tool_s_on_split_text():
    scorer = rouge_scorer.RougeScorer(["rougeLsum"], use_stemmer=True)
    split = ["a fast shell.\nit runs.", *WRITTEN[1:]]
    expected = [scorer.score(one, other)["rougeLsum"].fmeasure for one, other in zip(REFERENCES, split, strict=True)]
    assert rouge_scores(REFERENCES, WRITTEN)["rougeLsum"] == pytest.approx(sum(expected) / 4)


def test_the_score_is_of_what_is_written(monkeypatch):
    monkeypatch.setattr(summarization, "generate", lambda *_, **__: WRITTEN)
    part = PairDataset.__new__(PairDataset)
    part.references = REFERENCES
    assert TASK.decode(None, part, None, 1, False) == rouge_scores(REFERENCES, WRITTEN)
    assert TASK.decode(None, part, None, 1, False)["rougeL"] < 1
    monkeypatch.setattr(summarization, "generate", lambda *_, **__: REFERENCES)
    assert TASK.decode(None, part, None, 1, False)["rougeL"] == 1
