"""The documents hold together: links lead somewhere, decisions are numbered, figures come with their command."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, files, write

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\"")
DECISION = re.compile(r"^(\d{4})-[a-z0-9-]+\.md$")
NAMED = re.compile(
    r"`((?:services|shared|deploy|tests|docs|bench|examples)/[\w./-]*|[\w-]+\.(?:toml|yml|lock|md)|\.[\w-]+\.toml)`"
)
MODULE = re.compile(r"`([\w/-]+\.py)`")
SECTIONS = ("## Decision", "## Why", "## What would reopen it")
FIGURE = re.compile(r"\d[\d,.]*\s*(?:×|x\b|%|ms\b|s\b|seconds?\b|messages/s|MB\b|KB\b|GB\b)")
COMMAND = re.compile(r"`(?:make|relais) ")


def dead_links(root: Path) -> list[Breach]:
    """Return every relative link of a Markdown file that leads to no file or to no heading."""
    return [
        Breach(path.relative_to(root).as_posix(), number, f"leads nowhere: {target}")
        for path in files(root, ".md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for found in LINK.finditer(line)
        if not leads_somewhere(path, target := next(group for group in found.groups() if group))
    ]


def leads_somewhere(page: Path, target: str) -> bool:
    """Tell whether a link of ``page`` has an end; what stands on the web is not asked."""
    if re.match(r"[a-z]+:", target):
        return True
    name, _, heading = target.partition("#")
    end = (page.parent / name).resolve() if name else page
    if not end.exists():
        return False
    return not heading or end.suffix != ".md" or heading in headings(end)


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+\s+(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def dead_names(root: Path) -> list[Breach]:
    """Return every file or folder that a page names and that is not there, from the root or beside the page."""
    return [
        Breach(path.relative_to(root).as_posix(), number, f"names what is not there: {name}")
        for path in files(root, ".md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for name in NAMED.findall(line)
        if not (root / name).exists() and not (path.parent / name).exists()
    ]


def dead_modules(root: Path) -> list[Breach]:
    """Return every module that a page names, by its path or by the end of it, and that is nowhere."""
    there = ["/" + path.relative_to(root).as_posix() for path in files(root, ".py")]
    return [
        Breach(path.relative_to(root).as_posix(), number, f"names what is not there: {name}")
        for path in files(root, ".md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for name in MODULE.findall(line)
        if not any(module.endswith(f"/{name}") for module in there)
    ]


def unsound_decisions(root: Path) -> list[Breach]:
    """Return every decision that has a number twice or none, lacks a part, or is missing from the list."""
    folder = root / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    breaches = []
    seen: set[str] = set()
    for path in sorted(folder.glob("*.md")):
        if path.name in ("README.md", "template.md"):
            continue
        number = DECISION.match(path.name)
        text = path.read_text(encoding="utf-8")
        faults = [f"no section {section}" for section in SECTIONS if section not in text]
        faults += [] if number else ["no number"]
        faults += [] if f"({path.name})" in listed else ["not in the list"]
        faults += ["number taken"] if number and number[1] in seen else []
        seen |= {number[1]} if number else set()
        breaches += [Breach(path.name, 1, fault) for fault in faults]
    return breaches


def bare_figures(root: Path) -> list[Breach]:
    """Return every paragraph of the README that names a measured figure without the command that measures it."""
    text = (root / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [
        Breach("README.md", 1, found[0])
        for paragraph in prose.split("\n\n")
        if (found := FIGURE.search(paragraph)) and not COMMAND.search(paragraph)
    ]


def test_every_link_leads_somewhere() -> None:
    assert dead_links(REPOSITORY) == []


def test_every_name_has_its_file() -> None:
    assert dead_names(REPOSITORY) == []


def test_every_module_that_a_page_names_is_there() -> None:
    assert dead_modules(REPOSITORY) == []


def test_decisions_are_numbered_and_whole() -> None:
    assert unsound_decisions(REPOSITORY) == []


def test_figures_come_with_their_command() -> None:
    assert bare_figures(REPOSITORY) == []


@pytest.mark.parametrize("link", ["[gone](gone.md)", "[no such part](here.md#nothing)", "![a picture](flow.svg)"])
def test_a_dead_link_is_found(link: str, tmp_path: Path) -> None:
    write(tmp_path, "docs/here.md", "# Here\n\n[fine](#here) [fine](https://example.org) [fine](here.md#here)\n")
    write(tmp_path, "docs/page.md", f"# Page\n\n{link}\n")
    assert [(breach.path, breach.line) for breach in dead_links(tmp_path)] == [("docs/page.md", 3)]


@pytest.mark.parametrize("name", ["services/referral/gone.py", "tests/gone/", "gone.toml", "docs/gone.md"])
def test_a_dead_name_is_found(name: str, tmp_path: Path) -> None:
    write(tmp_path, "shared/clock.py", "")
    write(
        tmp_path,
        "docs/page.md",
        f"`shared/clock.py` and `shared/` stand, `build/x.json` is made, `services/<name>/app.py`\n\n`{name}`\n",
    )
    assert [breach.line for breach in dead_names(tmp_path)] == [3]


@pytest.mark.parametrize("name", ["gone.py", "store/clock.py", "lock.py"])
def test_a_module_that_is_nowhere_is_found(name: str, tmp_path: Path) -> None:
    write(tmp_path, "shared/clock.py", "")
    write(tmp_path, "docs/page.md", f"`clock.py` and `shared/clock.py` stand\n\n`{name}` was moved\n")
    assert [breach.line for breach in dead_modules(tmp_path)] == [3]


def test_unsound_decisions_are_found(tmp_path: Path) -> None:
    whole = "\n".join(SECTIONS)
    write(
        tmp_path, "docs/decisions/README.md", "[one](0001-one.md) [two](0001-two.md) [three](0003-three.md) (four.md)"
    )
    write(tmp_path, "docs/decisions/0001-one.md", whole)
    write(tmp_path, "docs/decisions/0001-two.md", whole)
    write(tmp_path, "docs/decisions/0003-three.md", SECTIONS[0])
    write(tmp_path, "docs/decisions/0005-five.md", whole)
    write(tmp_path, "docs/decisions/four.md", whole)
    assert {(breach.path, breach.what) for breach in unsound_decisions(tmp_path)} == {
        ("0001-two.md", "number taken"),
        ("0003-three.md", f"no section {SECTIONS[1]}"),
        ("0003-three.md", f"no section {SECTIONS[2]}"),
        ("0005-five.md", "not in the list"),
        ("four.md", "no number"),
    }


def test_a_bare_figure_is_found(tmp_path: Path) -> None:
    write(tmp_path, "README.md", "It does 2,075 messages/s.\n\n`make bench` says 4 × here.\n\n```\n12 s\n```\n")
    assert [breach.what for breach in bare_figures(tmp_path)] == ["2,075 messages/s"]
