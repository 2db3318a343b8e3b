#!/usr/bin/env python3
"""The size gate: no Python file over 400 lines, no function over 60.

A file counts every line. A function counts the lines from its `def` to its last statement, blank lines and
comments among them, without its docstring: words that explain are not what makes a function long. A function
inside another counts for itself and for the outer one.

Looks at every Python file that git tracks or would track; prints the offenders and exits with 1 if any.
usage: tools/sizes.py [FOLDER]
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE, MAX_FUNCTION = 400, 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(root: Path) -> list[Path]:
    """Files that git tracks or would track, and that exist."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", "*.py"],
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout
    return sorted(p for name in set(listed.decode().split("\0")) if name and (p := root / name).is_file())


def function_lines(function: Function) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and len(function.body) > 1:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def offenders(path: Path) -> Iterator[str]:
    """What is too large in a file, one line each."""
    text = path.read_text(encoding="utf-8")
    if (lines := len(text.splitlines())) > MAX_FILE:
        yield f"{path}: {lines} lines, more than {MAX_FILE}"
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, Function) and (lines := function_lines(node)) > MAX_FUNCTION:
            yield f"{path}:{node.lineno}: {node.name} has {lines} lines, more than {MAX_FUNCTION}"


def main() -> int:
    """Check every file; the exit code is 1 where something is too large."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    files = python_files(root)
    found = [line for path in files for line in offenders(path)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"sizes: {len(files)} files, {len(found)} too large")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
