"""Labels of language models: what codes and scripts they stand for, and that every table names languages that there are."""

from __future__ import annotations

import pytest

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.text import language, language_labels, language_opinions


def test_labels() -> None:
    assert language.resolve("__label__de") == ("deu", ("Latn",))
    assert language.resolve("srp_Cyrl") == ("srp", ("Cyrl",))
    assert language.resolve("__label__srp") == ("srp", ())
    assert language.resolve("__label__als", {}) == ("als", ())  # ISO's Tosk Albanian, not lid.176's Alemannic
    with pytest.raises(UserError, match="neither in the model's table"):
        language.resolve("__label__english")
    assert language.hint("de").endswith("'de' -> 'deu'?")
    assert language.hint("zho").endswith("'cmn'?")
    assert language.hint("qqq") == ""


def test_the_table_has_every_label_of_the_model() -> None:
    import fasttext

    labels = {
        label.removeprefix("__label__") for label in fasttext.load_model(str(layout.model_path("lid.176.ftz"))).get_labels()
    }
    assert labels == set(language_labels.lid176())
    assert len(language.LANGUAGES) == len(labels) == 176
    for code, scripts in language_labels.lid176().values():
        assert language.is_label(code)
        assert set(scripts) <= language.SCRIPT_CODES


def test_the_other_tables_name_languages() -> None:
    assert {code for code in language_opinions.cld2_codes().values() if not language.is_label(code)} == set()
    assert len(language_opinions.cld2_languages()) > 150
    assert {code for code in language_opinions.words().languages if not language.is_label(code)} == set()
    assert language.LANGUAGES - set(language_opinions.words().languages) == {"egl", "hbs"}
