"""Sphinx extension: the bibliography by author and year, as the text cites."""

import unicodedata
from collections import defaultdict

from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from pybtex.style.template import FieldIsMissing, join, node, optional, sentence

from tokengeom_utils.site.plain import OTHERS, short_names


class Order(BaseSortingStyle):
    """As the labels stand on the page: names without regard to accents, then years, then titles."""

    def sorting_key(self, entry):
        letters = unicodedata.normalize("NFKD", short_names(entry).casefold())
        names = "".join(letter for letter in letters if not unicodedata.combining(letter))
        return names, entry.fields["year"], entry.fields.get("title", "")


class Labels(BaseLabelStyle):
    """Authors and year."""

    def format_labels(self, sorted_entries):
        return [f"{short_names(entry)}, {entry.fields['year']}" for entry in sorted_entries]


@node
def names(children, context, role):
    """The full names of an entry; what BibTeX calls others is "et al."."""
    style, persons = context["style"], context["entry"].persons.get(role)
    if not persons:
        raise FieldIsMissing(role, context["entry"])
    shown = [style.format_name(person, style.abbreviate_names) for person in persons if str(person) != OTHERS]
    if len(shown) < len(persons):
        return Text(join(sep=", ")[shown].format_data(context), " et al")
    return join(sep=", ", sep2=" and ", last_sep=", and ")[shown].format_data(context)


class AuthorYear(Plain):
    """Entries sorted and labeled by author and year, with one link each to what is on arXiv only."""

    default_label_style = "author_year"
    default_sorting_style = "author_year"

    def format_names(self, role, as_sentence=True):
        return sentence[names(role)] if as_sentence else names(role)

    def format_web_refs(self, e):
        if e.fields.get("doi", "").startswith("10.48550/"):
            return sentence[optional[self.format_eprint(e)]]
        return super().format_web_refs(e)


def tell_apart(entries):
    """Add a letter to the years of works with the same short names and year, and count others as several.

    Parameters
    ----------
    entries : iterable of pybtex.database.Entry
        They are changed; a second call changes nothing.
    """
    same = defaultdict(list)
    for entry in Order().sort(entries):
        entry.fields["year"] = entry.fields["year"].rstrip("abcdefgh")
        persons = entry.persons["author"]
        if len(persons) == 2 and str(persons[1]) == OTHERS:
            persons.append(persons[1])  # citations abbreviate from three authors on
        same[short_names(entry), entry.fields["year"]].append(entry)
    for group in same.values():
        for letter, entry in zip("abcdefgh", group if len(group) > 1 else (), strict=False):
            entry.fields["year"] += letter


def before_reading(app, env, docnames):
    """Tell the entries apart before any page cites them."""
    tell_apart(env.get_domain("cite").bibdata.data.entries.values())


def setup(app):
    """Register the style."""
    register_plugin("pybtex.style.sorting", "author_year", Order)
    register_plugin("pybtex.style.labels", "author_year", Labels)
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    app.connect("env-before-read-docs", before_reading)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
