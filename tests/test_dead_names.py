"""Nothing is shipped that nothing names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [path for room in ("recorder", "hwsim", "mesh", "firmware_bridge") for path in (ROOT / room).rglob("*.py")]
# Called by name by somebody else's code.
CALLED_BY_OTHERS = {
    "__missing__",
    "async_update_records",
    "format_commands",
    "get_command",
    "list_commands",
    "seekable",
}


def _defined(tree: ast.Module) -> list[str]:
    """Functions, methods and classes wherever they stand, and names of the module; click calls what it decorated."""
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not any(".command(" in ast.unparse(one) for one in node.decorator_list)
    ]
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def test_every_name_is_named_again() -> None:
    """A function, class or constant whose name stands once in all code, tests and documents is dead."""
    read = [*SHIPPED, *(ROOT / "tests").rglob("*.py"), *(ROOT / "recorder").glob("*.md"), ROOT / "pyproject.toml"]
    words: Counter[str] = Counter()
    for path in read:
        if path != Path(__file__):  # it names what others call
            words.update(re.findall(r"\w+", path.read_text("utf-8")))
    dead = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SHIPPED
        for name in _defined(ast.parse(path.read_text("utf-8")))
        if words[name] == 1 and name not in CALLED_BY_OTHERS
    }
    assert dead == set()
