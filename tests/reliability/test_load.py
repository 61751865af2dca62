"""Several starts at once share an empty cache, with a damaged library in it."""

from reliability.load import answers, commands, started
from reliability.runs import train


def test_starts_at_once_build_one_cache_and_agree(tmp_path):
    train(tmp_path / "run")
    lines = commands(tmp_path / "run")
    codes, printed = started(lines, 4, 4, tmp_path, tmp_path / "cache")
    assert codes == [0] * 4, printed
    assert [len(answers(texts)) for texts in printed] == [1, 1]
    for library in (tmp_path / "cache" / "native").glob("*.so"):
        library.write_bytes(library.read_bytes()[:-100])
    (tmp_path / "again").mkdir()
    codes, after = started(lines, 4, 4, tmp_path / "again", tmp_path / "cache")
    assert codes == [0] * 4, after
    assert [answers(texts) for texts in after] == [answers(texts) for texts in printed]
