"""The page: whatever a text holds stays text, the numbers are those of the findings, and nothing is fetched."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest
import surveyed
from bs4 import BeautifulSoup

import tokengeom_utils as tg
from tokengeom_utils.reports.page import DIMENSION, SURPRISAL

EVIL = (
    '<script>document.title="taken"</script><img src=x onerror="document.title=1"></script></style><!-- <b>bold</b>'
    " & &amp; &#60; \"two\" 'one' ]]> <iframe src=javascript:alert(1)></iframe> \u202enaïve\u202c 東京 👩\n\n\tend "
)


@pytest.fixture(scope="module")
def made():
    model, path = surveyed.make()
    texts = [
        tg.Prompt('<b onclick="x()">.txt', "letters", EVIL * 2),
        tg.Prompt("plain", "words", surveyed.prose(1, 150)),
    ]
    return model, path, texts, tg.report(texts, model, path)


@pytest.fixture(scope="module")
def page(made):
    return BeautifulSoup(made[3].html, "html.parser")


def content(made, page):
    """The element with the tokens of each text, beside its text."""
    return zip(page.select(".tokens"), [text.text for text in made[2]], strict=True)


def test_a_text_of_html_and_script_stays_text(made, page):
    for box, text in content(made, page):
        first = text.encode()[:256].decode(errors="ignore")
        assert box.get_text() == first.replace("\t", " ")  # the parser of this test makes blanks of tabs
        assert {child.name for child in box.find_all(True)} == {"span"} and len(box.find_all("span")) == 256
    assert len(page.find_all("script")) == 2 and len(page.find_all("style")) == 1
    assert not page.find_all(["img", "iframe", "b", "base", "object", "embed"])
    assert not page.find_all(lambda tag: any(name.startswith("on") for name in tag.attrs))
    assert page.title.string == 'Report on <b onclick="x()">.txt and plain'


def test_the_page_allows_only_its_own_script_and_style(page):
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for kind, element in (("script", page.find_all("script")[1]), ("style", page.style)):
        digest = base64.b64encode(hashlib.sha256(element.string.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_nothing_is_asked_of_any_other_place(made, page):
    addresses = [
        tag[name] for tag in page.find_all(True) for name in ("src", "href", "action", "data") if tag.get(name)
    ]
    assert addresses == ["data:,"]
    assert "url(" not in page.style.string and "@import" not in page.style.string


def test_the_script_reads_the_numbers_of_every_token(made, page):
    data = json.loads(page.find("script", id="data").string)
    assert data["layer"] == 1 and data["edges"]["surprisal"] == list(SURPRISAL)
    for text, found in zip(data["texts"], made[3].findings, strict=True):
        tokens = found.text.tokens
        assert text["surprisal"][0] is None and len(text["dimension"]) == 2
        np.testing.assert_allclose(text["surprisal"][1:], tokens.surprisal[1:], atol=0.0051)
        np.testing.assert_allclose(np.array(text["dimension"], float), tokens.local[1:], atol=0.051)
        assert [piece for piece, _ in text["likeliest"]] == [piece for piece, _ in tokens.likeliest]


def test_without_a_script_the_text_is_colored_by_surprisal(made, page):
    for box, found in zip(page.select(".tokens"), made[3].findings, strict=True):
        steps = [
            next(name for name in token["class"] if re.fullmatch(r"b\d|u", name)) for token in box.find_all("span")
        ]
        wanted = [f"b{np.searchsorted(SURPRISAL, x, side='right')}" for x in found.text.tokens.surprisal[1:]]
        assert steps == ["u", *wanted]
    assert page.select_one(".controls").has_attr("hidden") and "Without scripts" in page.noscript.get_text()
    assert len(SURPRISAL) == len(DIMENSION) == 5  # as many steps as the style sheet has colors


def test_the_tables_hold_the_numbers_of_the_findings(made, page):
    tables = [t for t in page.find_all("table") if t.caption.get_text().startswith("Numbers of")]
    for table, found in zip(tables, made[3].findings, strict=True):
        lines = table.tbody.find_all("tr")
        rows = {line.th.get_text(): [cell.get_text(" ") for cell in line.find_all("td")] for line in lines}
        loss = found.placed["loss"]
        assert rows["loss per token (nat)"][0] == f"{loss.value:.2f}"
        assert rows["loss per token (nat)"][2].startswith(f"{loss.share.below:.0%}")
        assert rows["distinct tokens"][0] == f"{found.placed['distinct'].value:.0f}"
        assert rows["perplexity"][0].startswith(f"{np.exp(loss.value):,.0f}"[:2])
    by_layer = [t for t in page.find_all("table") if t.caption.get_text().startswith("By layer")]
    assert len(by_layer) == 2 and [len(t.tbody.find_all("tr")) for t in by_layer] == [2, 2]
    assert len(page.select(".charts svg")) == 6


def test_the_costliest_tokens_come_with_what_was_likelier(made, page):
    table = next(t for t in page.find_all("table") if t.caption.get_text() == "The costliest tokens")
    nats = [float(row.find_all("td")[2].get_text()) for row in table.tbody.find_all("tr")]
    tokens = made[3].findings[0].text.tokens
    assert len(nats) == 8 and nats == sorted(nats, reverse=True)
    assert nats[0] == pytest.approx(np.nanmax(tokens.surprisal), abs=0.051)


def test_the_same_texts_make_the_same_page(made):
    assert tg.report(made[2], made[0], str(made[1])).html == made[3].html


def test_a_model_without_a_survey_says_that_nothing_is_compared(made):
    alone = tg.report(made[2][1], made[0])
    page = BeautifulSoup(alone.html, "html.parser")
    words = page.get_text(" ")
    assert (
        alone.reference is None and "no band and no percentiles: no survey of tiny with 256 tokens is at hand" in words
    )
    assert "percentile," not in words and "nearest kind" not in words and not page.select(".charts .band")
    assert page.title.string == "Report on plain" and not page.find_all("h3")


def test_another_precision_than_that_of_the_survey_is_said(made):
    model, path, texts, report = made
    assert "in float32, bos = never" in report.html and "due to rounding" not in report.html
    half = tg.open_results(path).assign_attrs(dtype="torch.bfloat16")
    assert "The survey was measured in bfloat16: small differences may be due" in tg.report(texts[1], model, half).html


def test_many_texts_are_counted_in_the_title(made):
    texts = [tg.Prompt(f"text-{i}", "words", surveyed.prose(i, 150)) for i in range(4)]
    page = BeautifulSoup(tg.report(texts, made[0], made[1]).html, "html.parser")
    assert page.title.string == page.h1.string == "Report on 4 texts"
    assert [h.string for h in page.select(".texts h3")][:4] == [text.id for text in texts]


def test_in_a_notebook_the_page_is_closed_off_from_the_rest(made):
    frame = BeautifulSoup(made[3]._repr_html_(), "html.parser").iframe
    assert frame["srcdoc"] == made[3].html and frame["title"] == 'Report on <b onclick="x()">.txt, plain'
    assert html.escape(made[3].html) in made[3]._repr_html_()


def test_saving_replaces_a_page_and_leaves_nothing_behind(made, tmp_path):
    path = tmp_path / "new" / "report.HTML"
    made[3].save(path)
    path.write_text("of earlier texts")
    assert made[3].save(str(path)) == path and path.read_text(encoding="utf-8") == made[3].html
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(tg.InputError, match="its name must end in .html"):
        made[3].save(tmp_path / "report.txt")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(tg.InputError, match="is a folder: add the name of a file"):
        made[3].save(tmp_path / "folder.html")


def test_a_model_in_a_folder_is_shown_by_its_last_name(tmp_path):
    from tokengeom_utils.reports.report import shown

    assert shown(str(tmp_path)) == tmp_path.name and shown(f"untrained:{tmp_path}") == f"untrained:{tmp_path.name}"
    assert shown("owner/name") == "owner/name" and shown("untrained:smollm2-135m") == "untrained:smollm2-135m"


def test_texts_are_told_apart_by_their_names(made, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "essay.txt").write_text(surveyed.prose(2, 150))
    found = tg.report([tmp_path / "a" / "essay.txt", tmp_path / "b" / "essay.txt"], made[0], made[1])
    assert [one.name for one in found.findings] == [
        str(tmp_path / "a" / "essay.txt"),
        str(tmp_path / "b" / "essay.txt"),
    ]
    assert tg.report(tmp_path / "a" / "essay.txt", made[0], made[1]).findings[0].name == "essay.txt"
    with pytest.raises(tg.InputError, match="two texts are named plain"):
        tg.report([made[2][1]] * 2, made[0])
    with pytest.raises(tg.InputError, match="at least one text"):
        tg.report([], made[0])


def test_texts_of_a_table_or_a_folder_are_reported_side_by_side(made, tmp_path):
    (tmp_path / "texts").mkdir()
    for i in range(2):
        (tmp_path / "texts" / f"part-{i}.md").write_text(surveyed.prose(i, 150))
    assert [one.name for one in tg.report(tmp_path / "texts", made[0], made[1]).findings] == ["part-0", "part-1"]


def test_a_text_of_one_letter_is_reported_without_a_number_that_does_not_exist(made):
    """A model without an end of its own cannot tell the copies apart; what is undefined is said or left out."""
    found = tg.report(tg.Prompt("same", "letters", "a" * 600), made[0], made[1])
    words = BeautifulSoup(found.html, "html.parser").body.get_text(" ")
    assert not re.search(r"\b(nan|inf|None)\b", words.split("Color by")[1].split('{"layer"')[0])
    assert "NaN" not in found.html.split('id="data"')[1].split("</script>")[0]
    json.loads(BeautifulSoup(found.html, "html.parser").find("script", id="data").string)
