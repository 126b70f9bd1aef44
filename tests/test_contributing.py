"""CONTRIBUTING.md, the decisions and the changelog are true: what they name exists, and a further API is added as told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.processes import ROOT, environment

PAGE = (ROOT / ".github/CONTRIBUTING.md").read_text()
DECISIONS = sorted((ROOT / ".github/decisions").glob("*.md"))
PAGES = [ROOT / ".github/CONTRIBUTING.md", ROOT / ".github/CHANGELOG.md", *DECISIONS]
PATH = re.compile(r"`((?:app|tests|\.github|\.ci)/[\w./-]*|[\w-]+\.(?:toml|graphql|md))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page):
    text = page.read_text()
    named = set(PATH.findall(text)) | {
        str(page.parent.relative_to(ROOT) / target) for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text)
    }
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_commands_are_those_of_ci():
    ci = (ROOT / ".ci/run").read_text()
    for command in ("ruff check .", "ruff format --check .", "mypy", "pytest -m slow", "pytest -m external"):
        assert f".venv/bin/{command}" in ci
        assert f".venv/bin/{command}" in PAGE
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    assert {marker.partition(":")[0] for marker in markers} == {"slow", "external", "both_loops"}


def test_a_decision_says_what_why_and_what_was_given_up():
    assert DECISIONS
    for page in DECISIONS:
        text = page.read_text()
        assert text.startswith("# ")
        assert "\n## Why" in text, page.name
        assert "\n## Given up" in text, page.name
        assert len(text.splitlines()) < 80, page.name


def test_the_changelog_has_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / ".github/CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(version)}\] - (Unreleased|\d{{4}}-\d\d-\d\d)$", text, re.MULTILINE)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


README_TRANSCRIPT = """
A book in the library.

<!-- run: book -->
```graphql
mutation RenameBook($id: UUID!, $input: UpdateBookInput!) {
  updateBook(id: $id, input: $input) { book { title pages } }
}
```
```json
{"id": "b1000000-0000-4000-8000-000000000001", "input": {"title": "Bread and salt"}}
```
```json
{"data": {"updateBook": {"book": {"title": "Bread and salt", "pages": 100}}}}
```

"""


@pytest.mark.slow
def test_a_further_api_is_one_folder_and_one_line(tmp_path):
    """The list of "Adding a backend API", step by step, in a copy of the checkout; then the checks in there."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.db", "further")
    for name in ("app", "tests", ".github", ".ci"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "schema.graphql", ".env.example"):
        shutil.copy(ROOT / name, copy)

    def done(*command):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=copy,
            env=environment({"PYTHONPATH": str(copy)}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-3000:]
        return ended.stdout

    before = {path: path.read_bytes() for path in copy.rglob("*.py")}
    # 2, 3: the folder, the line.
    shutil.copytree(ROOT / "tests/further/library", copy / "app/apis/library", ignore=ignored)
    register = copy / "app/apis/__init__.py"
    text = register.read_text().replace("import basecone, bokamera", "import basecone, bokamera, library")
    register.write_text(text.replace("    bokamera.API,\n", "    bokamera.API,\n    library.API,\n"))
    # 4: samples and tests.
    shutil.copytree(ROOT / "tests/further/tests", copy / "tests/apis/library", ignore=ignored)
    # 5: the README, the schema, the tables.
    page = copy / ".github/docs/clients.md"
    page.write_text(page.read_text() + README_TRANSCRIPT.rstrip("\n") + "\n")
    (copy / "schema.graphql").write_text(done("app", "schema"))
    done("tests.readme_tables")
    assert "GATEWAY_LIBRARY_API_KEY" in (copy / ".env.example").read_text()
    # 6: the checks.
    done("ruff", "check", "app", "tests/apis")
    done("ruff", "format", "--check", "app", "tests/apis")
    done("mypy")
    covered = done(
        *("pytest", "-q", "-rA", "-p", "no:cacheprovider", "-n", "2"),
        *("tests/test_contract.py", "tests/test_architecture.py", "tests/test_schema.py", "tests/test_check.py"),
        *("tests/test_readme.py", "tests/apis/library", "tests/edge/test_playground.py", "tests/updates/test_bulk.py"),
    )
    wanted = {"BOOK_NOT_FOUND", "TITLE_EMPTY", "TITLE_TAKEN", "LIBRARY_KEY_INVALID"}
    for reason in wanted:
        for wiring in ("local", "sandbox-in-process", "sandbox-over-socket"):
            assert re.search(
                rf"PASSED tests/test_contract.py::test_every_row_in_every_wiring\[updateBook-{reason}-{wiring}\]",
                covered,
            )
    # Nothing else of the program was touched.
    changed = {path.relative_to(copy).as_posix() for path, content in before.items() if path.read_bytes() != content}
    assert changed == {"app/apis/__init__.py"}
