"""What a Markdown document is made of: paragraphs, list items, cells of tables, links, and their sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SENTENCES_END = re.compile(r"[.!?:][)\"'*_]*(?:\s|$)")
_INNER_END = re.compile(r"(?<!e\.g)(?<!i\.e)[.!?][)\"'*_]*\s+(?=\S)")
_PARSER = MarkdownIt("commonmark").enable("table")

Kind = Literal["paragraph", "item", "cell"]


@dataclass(frozen=True)
class Block:
    """A piece of text, with the number of its first line. Code has become a single word: it has no sentences."""

    kind: Kind
    line: int
    lines: tuple[str, ...]

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(" ".join(self.lines).split())

    @property
    def sentences(self) -> int:
        """How many sentences it has. Text without a full stop is one."""
        return len(_INNER_END.findall(" ".join(self.lines))) + 1

    def lines_with_several_sentences(self) -> list[str]:
        """The lines that should be two."""
        return [line for line in self.lines if _INNER_END.search(line)]

    def lines_within_a_sentence(self) -> list[str]:
        """The lines whose sentence ends in a later one."""
        return [line for line in self.lines[:-1] if not _SENTENCES_END.search(line[-4:])]


def blocks(text: str) -> Iterator[Block]:
    """The pieces of text of a document. A list item is whole, with the paragraphs and items within it."""
    inside: list[tuple[int, list[str]]] = []
    tokens = _parsed(text)
    for before, token in zip([tokens[0], *tokens], tokens, strict=False):
        match token.type:
            case "list_item_open":
                inside.append((token.map[0] + 1 if token.map else 0, []))
            case "list_item_close":
                line, lines = inside.pop()
                if inside:
                    inside[-1][1].extend(lines)
                yield Block("item", line, tuple(lines))
            case "inline":
                lines = _plain(token).split("\n")
                line = token.map[0] + 1 if token.map else 0
                if before.type in {"th_open", "td_open"}:
                    yield Block("cell", line, tuple(lines))
                elif inside:
                    inside[-1][1].extend(lines)
                    yield Block("paragraph", line, tuple(lines))
                elif before.type == "paragraph_open":
                    yield Block("paragraph", line, tuple(lines))


def links(text: str) -> Iterator[str]:
    """The address of each link and picture."""
    for token in _parsed(text):
        for child in token.children or ():
            for name in ("href", "src"):
                if name in child.attrs:
                    yield str(child.attrs[name])


@cache  # it takes most of the time, and several tests look at the same documents
def _parsed(text: str) -> list[Token]:
    return _PARSER.parse(text)


def _plain(token: Token) -> str:
    """The text as a reader sees it, with `code` as one word."""
    parts = []
    for child in token.children or ():
        match child.type:
            case "text":
                parts.append(child.content)
            case "code_inline":
                parts.append("code")
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "html_inline":
                parts.append(" ")
    return "".join(parts)
