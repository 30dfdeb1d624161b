"""The documents: their tables are those of the code, and their texts are short."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from ci.docs import DOCS, TABLES, current
from metadata_tool.pulsar.report import HELD_COLLECTION
from support.markdown import Block, blocks, links

ROOT = DOCS.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
LONGEST_PARAGRAPH, LONGEST_CELL = 4, 2
"""Sentences."""
LONGEST_ITEM = 60
"""Words."""

FEWEST_WORDS = 3
"""Of a part of a message that is looked for. A message may be made of two strings."""


@pytest.mark.parametrize("name", sorted(TABLES))
def test_table_is_current(name: str) -> None:
    """A document has the table that the code makes. If not, `make docs` writes it."""
    text = (DOCS / f"{name}.md").read_text()
    assert TABLES[name]() in text
    assert text == current(text, name)


def test_texts_are_short() -> None:
    """A paragraph has at most four sentences, a list item at most 60 words, a table's cell at most two sentences."""
    assert [] == [
        f"{document.name}:{block.line}: {block}"
        for document in DOCUMENTS
        for block in blocks(document.read_text())
        if too_long(block)
    ]


def test_one_sentence_a_line() -> None:
    """Each line of a paragraph is a sentence, so that a diff shows which sentences have changed."""
    assert [] == [
        f"{document.name}:{block.line}: {line}"
        for document in DOCUMENTS
        for block in blocks(document.read_text())
        if block.kind == "paragraph"
        for line in (*block.lines_with_several_sentences(), *block.lines_within_a_sentence())
    ]


def test_absolute_links_have_an_address() -> None:
    """A link to elsewhere is https, with a host. Links within the project are checked by `make lint`."""
    assert [] == [
        f"{document.name}: {link}"
        for document in DOCUMENTS
        for link in links(document.read_text())
        if ":" in link and not ("https" == urlsplit(link).scheme and "." in urlsplit(link).netloc)
    ]


def test_architecture_names_each_module() -> None:
    """The tree in docs/architecture.md has every module, every folder of tests, and nothing that is not there."""
    named = set(tree((DOCS / "architecture.md").read_text()))
    package = ROOT / "sidecar" / "src" / "metadata_tool"
    modules = {path for path in package.rglob("*.py") if not re.match(r"__.*__|.*_pb2", path.stem)}
    folders = {path for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert set() == (modules | folders) - named
    assert [] == [path for path in sorted(named) if not path.exists()]


def test_settings_of_held_bookies_are_those_of_the_warning() -> None:
    """docs/bookies-kept.md has the settings that a restore names, and that the test on a real Pulsar uses."""
    (values,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "bookies-kept.md").read_text(), re.DOTALL)
    assert {"bookkeeper": {"configData": HELD_COLLECTION}} == yaml.safe_load(values)


def test_messages_are_those_of_the_program() -> None:
    """What a table headed `message` quotes is what the program or the chart says, but for names and numbers."""
    source = spoken()
    assert [] == [
        f"{document.name}: {message}"
        for document in DOCUMENTS
        for message in messages(document.read_text())
        if not fixed(message) or not all(is_in(part.split(), source) for part in fixed(message))
    ]


def messages(text: str) -> Iterator[str]:
    """The messages that a document explains."""
    for table in re.findall(r"^\| message \|.*\n\| --- .*\n((?:\|.*\n)*)", text, re.MULTILINE):
        yield from re.findall(r"^\| `(.+?)`", table, re.MULTILINE)


def fixed(message: str) -> list[str]:
    """The parts of a message that are the same whatever it is about."""
    names = r"[…,:(]|<.*?>|\S*[\d/]\S*|\b[b-z]\b| and "
    return [part for each in re.split(names, message) if len((part := each.strip()).split()) >= FEWEST_WORDS]


def is_in(words: list[str], source: str) -> bool:
    """Whether these words are there, at once or in parts that are no shorter than FEWEST_WORDS."""
    return " ".join(words) in source or any(
        " ".join(words[:end]) in source and is_in(words[end:], source)
        for end in range(FEWEST_WORDS, len(words) - FEWEST_WORDS + 1)
    )


def spoken() -> str:
    """The source of everything that speaks to an operator, with a string that goes over several lines as one."""
    files = [*(ROOT / "sidecar" / "src").rglob("*.py"), *(ROOT / "charts" / "pulsar" / "files").glob("*.sh")]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))


def tree(text: str) -> Iterator[Path]:
    """The paths in the block that draws the tree of files, two spaces a level."""
    drawn = text.split("## The tree of files")[1].split("```")[1]
    folders: list[Path] = []
    for line in drawn.splitlines()[1:]:
        name = line.split()[0]
        level = (len(line) - len(line.lstrip())) // 2
        folders[level:] = [(folders[level - 1] if level else ROOT) / name]
        yield folders[-1]


def too_long(block: Block) -> bool:
    """Whether it should be parted."""
    match block.kind:
        case "paragraph":
            return block.sentences > LONGEST_PARAGRAPH
        case "item":
            return block.words > LONGEST_ITEM
        case "cell":
            return block.sentences > LONGEST_CELL


def test_a_text_that_is_too_long_is_found() -> None:
    """The checks above can fail: each of them finds what it is there for."""
    four, five = "One.\nTwo `a. b`.\nThree.\nFour.", "One.\nTwo.\nThree.\nFour.\nFive."
    item, items = "- " + "word " * 60, "- " + "word " * 31 + "\n  - " + "word " * 30
    cells = "| a | b |\n| --- | --- |\n| One. Two. | One. Two. Three. |"
    assert [False] == [too_long(block) for block in blocks(four)]
    assert [True] == [too_long(block) for block in blocks(five)]
    assert [False, True] == [any(too_long(block) for block in blocks(each)) for each in (item, items)]
    assert [False, False, False, True] == [too_long(block) for block in blocks(cells)]


def test_a_line_that_is_not_a_sentence_is_found() -> None:
    """So do the checks of lines."""
    (block,) = blocks("One. Two, which\ngoes on.\nThree (see 3.6)!\nFour:")
    assert ["One. Two, which"] == block.lines_with_several_sentences()
    assert ["One. Two, which"] == block.lines_within_a_sentence()


def test_a_message_that_nobody_says_is_found() -> None:
    """A quoted message is parted at names and numbers, and each part is looked for."""
    text = "| message | what to do |\n| --- | --- |\n| `znode /a may not be eaten, so 3 are not` (43) | Nothing. |\n"
    assert ["znode /a may not be eaten, so 3 are not"] == list(messages(text))
    assert ["may not be eaten"] == fixed("znode /a may not be eaten, so 3 are not")
    assert not is_in(["may", "not", "be", "eaten"], spoken())
    assert is_in(["one", "two", "three", "four", "five", "six"], '"one two three"; "four five six"')
    assert not is_in(["one", "two", "three", "four"], '"one two"; "three four"')
