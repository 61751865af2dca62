"""No file from a stranger can run code: what could is nowhere in the source."""

import ast
from pathlib import Path

import pytest

import regdrop

SOURCE = Path(regdrop.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PLAIN = {"eval", "exec", "__import__"}
CALLS = {
    *(f"pickle.{name}" for name in ("load", "loads", "Unpickler")),
    *(f"yaml.{name}" for name in ("load", "load_all", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all")),
    *(f"marshal.{name}" for name in ("load", "loads")),
    "os.system",
    "os.popen",
    "shelve.open",
    "joblib.load",
}
UNPACKS = {"extract", "extractall", "unpack_archive"}


def problem(call):
    """What is wrong with a call, or None."""
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in PLAIN | CALLS or name.split(".")[-1] in UNPACKS:
        return name
    if name == "torch.load" and keywords.get("weights_only") != "True":
        return "torch.load without weights_only"
    if keywords.get("shell") == "True" or keywords.get("allow_pickle") == "True":
        return f"{name} with shell or allow_pickle"
    if keywords.get("trust_remote_code", "False") != "False":
        return f"{name} with trust_remote_code"
    return None


def problems(text):
    return [found for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and (found := problem(node))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_in_the_source_runs_what_a_file_says(path):
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader)",
        "eval(text)",
        "archive.extractall()",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=asked)",
    ],
)
def test_what_is_looked_for_would_be_found(line):
    assert problems(line)


def test_what_is_safe_is_let_pass():
    assert problems("torch.load(path, weights_only=True); yaml.safe_load(text); model.eval(); np.load(path)") == []
