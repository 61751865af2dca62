"""Several starts at once share an empty cache, with a damaged library in it."""

import json

from reliability.load import started
from reliability.runs import train


def test_starts_at_once_build_one_cache_and_agree(tmp_path):
    train(tmp_path / "run")
    words = ["diagnose", tmp_path / "run", "--batches", "1", "--passes", "2", "--json"]
    codes, printed = started(words, 4, 2, tmp_path, tmp_path / "cache")
    assert codes == [0] * 4, printed
    assert len({json.dumps(json.loads(text[text.index("{") :]), sort_keys=True) for text in printed}) == 1
    libraries = list((tmp_path / "cache" / "native").glob("*.so"))
    for library in libraries:
        library.write_bytes(library.read_bytes()[:-100])
    (tmp_path / "again").mkdir()
    codes, after = started(words, 4, 4, tmp_path / "again", tmp_path / "cache")
    assert codes == [0] * 4, after
    assert [text[text.index("{") :] for text in after] == [text[text.index("{") :] for text in printed]
