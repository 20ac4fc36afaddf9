"""The report's Markdown, filled in from a template, and the same as a small self-contained HTML document."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token

from training.reproduction.report.groups import Group

RESTS_ON = "The runs behind this:"


def text(value: object) -> str:
    """Any text as plain Markdown text on one line."""
    return re.sub(r"([\\`*_\[\]<>#&~!])", r"\\\1", _line(value))


def code(value: object) -> str:
    """Any text as it is, on one line, in the font of code."""
    content = _line(value)
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not content else ""
    return f"{fence}{pad}{content}{pad}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table; its first `words` columns are words, the others figures, which stand to the right."""
    rule = ["---" if column < words else "---:" for column in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def render_markdown(**values: Any) -> str:
    """The report's text, `templates/report.md`, with the values in their places; a paragraph is one line."""
    written = _template("report.md").render(values)
    return "\n\n".join(_unwrapped(block) for block in re.split(r"\n\s*\n", written.strip())) + "\n"


def slug(heading: str) -> str:
    """The name by which links find a heading, as common hosts of Markdown make it."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _template(name: str) -> Template:
    found = Environment(
        loader=PackageLoader("training.reproduction.report"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"text": text, "code": code, "slug": slug, "runs": _runs_behind, "count": "{:,}".format}
    return found.get_template(name)


def _unwrapped(block: str) -> str:
    """A block of Markdown whose paragraphs and list items, wrapped in the template, are one line each."""
    lines: list[str] = []
    for line in block.split("\n"):
        if lines and (line.startswith(" ") or not block.startswith(("-", "|", "#"))):
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def _runs_behind(groups: Iterable[Group]) -> str:
    """The runs behind a table or figure, each with recipe, seed and command; nothing if there are none."""
    lines = {
        number: f"- run {number}: {code(run.name)}, {group.kind}, seed {run.seed}: {code(run.command)}"
        for group in groups
        for number, run in group.numbered
    }
    return "\n".join([f"{RESTS_ON}\n", *(lines[number] for number in sorted(lines))]) if lines else ""


def _line(value: object) -> str:
    return " ".join(str(value).split())


def render_page(markdown: str, title: str) -> str:
    """The HTML document of a report. What looks like HTML in the Markdown is shown, not obeyed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _open_table)
    parser.add_render_rule("table_close", _close_table)
    parser.add_render_rule("th_open", _open_head)
    tokens = _fold_runs(parser.parse(markdown))
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(tokens[place + 1].content))
    body = parser.renderer.render(tokens, parser.options, {})
    css = (files("training.reproduction.report") / "templates" / "page.css").read_text(encoding="utf-8")
    return _template("page.html").render(title=title, css=css, body=body)


def _fold_runs(tokens: Sequence[Token]) -> list[Token]:
    """Put each list of runs behind the line that announces it, to be unfolded."""
    folded: list[Token] = []
    inside = False
    for place, token in enumerate(tokens):
        if token.type == "paragraph_open" and tokens[place + 1].content == RESTS_ON:
            inside = True
            folded.append(_html(f'<details class="runs"><summary>{escape(RESTS_ON)}</summary>\n'))
            continue
        announces = inside and (token.content == RESTS_ON or (token.type == "paragraph_close" and token.level == 0))
        if announces:
            continue
        folded.append(token)
        if inside and token.type == "bullet_list_close" and token.level == 0:
            folded.append(_html("</details>\n"))
            inside = False
    return folded


def _html(content: str) -> Token:
    return Token("html_block", "", 0, content=content)


def _open_table(renderer: RendererProtocol, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    """A wide table moves within its own frame, by keyboard too."""
    return '<div class="table" role="region" aria-label="Table" tabindex="0">\n<table>\n'


def _close_table(renderer: RendererProtocol, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    return "</table>\n</div>\n"


def _open_head(renderer: RendererProtocol, tokens: Sequence[Token], place: int, options: Any, env: Any) -> str:
    """A header cell says that it heads its column."""
    alignment = tokens[place].attrGet("style")
    return f'<th scope="col" style="{alignment}">' if alignment else '<th scope="col">'
