"""The house's rules: rooms that do not know each other, no import cycles, `__init__` that only re-exports."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "ops", "cdc", "sink", "auditor", "stack", "tidemark", "bench")
MAY_IMPORT = {
    "schemas": set(),
    "ops": {"schemas"},
    "cdc": {"schemas", "ops"},
    "sink": {"schemas", "ops"},
    "auditor": {"schemas", "ops"},
    "stack": {"schemas", "ops"},
    "tidemark": {"schemas", "ops", "cdc", "sink", "auditor", "stack"},
    "bench": {"schemas", "ops", "cdc", "sink", "auditor", "stack", "tidemark"},
}
NO_IO = {"socket", "confluent_kafka", "elasticsearch", "pymysql", "http", "urllib", "subprocess", "requests"}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, run_time_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if run_time_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_there_is_something_to_check() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(PACKAGES)


def test_every_package_is_in_the_wheel() -> None:
    """An editable installation, as the tests have it, finds those too that a wheel and the image would lack."""
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT).parts for path in modules().values()}
    assert set(installed) == {".".join(folder) for folder in folders if folder[0] != "bench"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_only_what_lies_below_it(package: str) -> None:
    wrong = {
        f"{name} imports {target}"
        for name, path in modules().items()
        if name.partition(".")[0] == package
        for target in imports(path)
        if target.partition(".")[0] in set(PACKAGES) - {package} - MAY_IMPORT[package]
    }
    assert not wrong


def test_schemas_does_no_io() -> None:
    wrong = {
        f"{name} imports {target}"
        for name, path in modules().items()
        if name.startswith("schemas")
        for target in imports(path)
        if target.partition(".")[0] in NO_IO
    }
    assert not wrong


def test_no_import_cycles() -> None:
    known = modules()
    edges = {}
    for name, path in known.items():
        found = {target for target in imports(path, run_time_only=True) if target in known}
        # `from stack import apt` needs `stack.apt`; of the package only what stands before it in `__init__`: nothing.
        edges[name] = {t for t in found if not any(other.startswith(f"{t}.") for other in found)}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in edges[name] - {name}:
                visit(target, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_init_files_only_re_export() -> None:
    for path in modules().values():
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            ok = isinstance(node, ast.ImportFrom | ast.Import) or (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            )
            names_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            assert ok or names_all, f"{path}: {ast.unparse(node)[:80]}"
