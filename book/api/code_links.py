"""Sphinx extension: fits sphinx-codeautolink, which links names in code to the API reference, to this book."""

import html
import re

from docutils import nodes
from sphinx_codeautolink import extension as codeautolink
from sphinx_codeautolink.extension.block import CodeBlockAnalyser, construct_name_pattern

CODE = re.compile(r'(<div class="(?:highlight-|doctest )[^"]*"><div class="highlight">)(<pre>.*?</pre>)', re.S)
TAG = re.compile(r"<[^>]*>")


def leave_section(analyser, node):
    """Drop the title of a section from the stack, if it has one: the sections inside exercises and proofs have none."""
    if any(isinstance(child, nodes.title) for child in node.children):
        analyser.title_stack.pop()


def link_html(document, page, transforms, inventory, *_, **__):
    """Put the links into the code of a page.

    The function of sphinx-codeautolink that this replaces parses all the HTML of a page, and more than doubles the
    time that the site takes.
    """
    waiting = {}
    for code in transforms:
        waiting.setdefault(code.source.rstrip(), []).append(code)
    up = "../" * document.count("/")

    def linked(block):
        source = html.unescape(TAG.sub("", block[2])).rstrip()
        if not waiting.get(source):
            return block[0]
        lines = block[2].split("\n")
        for name in waiting[source].pop(0).names:
            part = slice(name.lineno - 1, name.end_lineno)
            text = "\n".join(lines[part])
            if found := list(re.finditer(construct_name_pattern(name), text)):
                last = found[-1]  # in a.b = a.b the names on the right come first
                start = last.start() + len(last[1])
                target = up + inventory[name.resolved_location]
                link = f'<a href="{target}" class="sphinx-codeautolink-a">{text[start : last.end()]}</a>'
                lines[part] = (text[:start] + link + text[last.end() :]).split("\n")
        return block[1] + "\n".join(lines)

    return CODE.sub(linked, page)


def setup(app):
    """Replace the two functions."""
    CodeBlockAnalyser.depart_section = leave_section
    codeautolink.link_html = link_html
    return {"parallel_read_safe": True, "parallel_write_safe": True}
