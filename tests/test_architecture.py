"""The shape of the house: imports run one way, the core needs torch alone, the public list is exact."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regdrop

SOURCE = Path(regdrop.__file__).parent
ROOMS = ["errors", "losses", "passes", "diagnostics", "checkpoints", "tasks", "training", "studies", "reports", "cli"]
# The integrations join other libraries' loops to the passes; nothing imports them.
ALLOWED = {room: set(ROOMS[: i + 1]) for i, room in enumerate(ROOMS)} | {
    "integrations": {"errors", "losses", "passes", "integrations"},
    "__main__": {"cli"},
    "__init__": set(ROOMS),
}
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["regdrop", *parts]).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imports_of(path, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_never_run_back(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for name in imports_of(path):
        if name.startswith("regdrop."):
            assert name.split(".")[1] in ALLOWED[room], f"{module_of(path)} imports {name}"


def test_no_import_loops():
    graph = {
        name: {other for other in imports_of(path, top_level_only=True) if other in MODULES and other != "regdrop"}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", [p for p in FILES if "losses" in p.parts or "passes" in p.parts], ids=module_of)
def test_the_core_imports_torch_alone(path):
    allowed = {"torch", "regdrop", "jaxtyping"} | sys.stdlib_module_names
    assert {name.split(".")[0] for name in imports_of(path, top_level_only=True)} <= allowed


def loaded_after(code):
    code += "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


HEAVY = {"transformers", "timm", "matplotlib", "torchvision", "accelerate", "datasets", "sklearn", "peft", "lightning"}


def test_importing_every_public_name_loads_none_of_the_extras():
    loaded = loaded_after("from regdrop import *")
    assert "torch" in loaded
    assert not loaded & HEAVY


def test_importing_the_package_does_not_even_wait_for_torch():
    assert "torch" not in loaded_after("import regdrop, regdrop.cli")


def test_the_public_list():
    assert regdrop.__all__ == sorted(regdrop.__all__)
    for name in regdrop.__all__:
        assert getattr(regdrop, name).__name__ == name
    assert set(regdrop.__all__) <= set(dir(regdrop))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = regdrop.nothing
