"""Words that short blocks and headings begin with: sharing, comments, related pages, legal notes, ... in a dozen languages."""

from __future__ import annotations

import numpy as np

from crawlmill.text.extractor.arrays import Floats, Ints, Lookup, Octets, code, eight, first_bytes, spans
from crawlmill.text.extractor.blocks import Blocks
from crawlmill.text.extractor.compiled import native
from crawlmill.text.extractor.markup import Markup

GROUPS = {
    "share": (
        "share tweet pin email print facebook twitter whatsapp linkedin pinterest teilen drucken partager imprimer compartir "
        "imprimir condividi stampa delen dela udostępnij drukuj поделиться κοινοποίηση 分享到"
    ),
    "comment": (
        "comment comments reply replies respond discussion kommentar kommentare kommentieren commentaire commentaires réagir "
        "comentario comentarios comentar responder commenti commenta reacties kommentarer komentarze комментарии комментарий "
        "σχόλια コメント 发表评论 网友评论"
    ),
    "related": (
        "related recommended recommend popular trending latest similar also might further ähnliche verwandte weitere mehr "
        "auch lire relacionados relacionadas más leia leggi anche meest lees czytaj również podobne zobacz читайте также "
        "похожие διαβάστε σχετικά 相关阅读 相关新闻 関連記事 推荐阅读"
    ),
    "legal": (
        "copyright rights reserved privacy cookie cookies terms policy disclaimer imprint impressum datenschutz agb mentions "
        "légales aviso legal privacidad privacidade condizioni regulamin prywatności права защищены 版权所有 免责声明"
    ),
    "account": (
        "subscribe subscription newsletter sign login log register password account join follow anmelden registrieren "
        "abonnieren abo inscrivez abonnez connexion suscríbete suscribirse assine iscriviti accedi zaloguj подписаться войти "
        "εγγραφή"
    ),
    "byline": (
        "by posted published updated written author editor ago von veröffentlicht autor aktualisiert publié auteur par "
        "publicado actualizado por pubblicato opublikowano redakcja автор опубликовано 责任编辑 来源 作者 発表"
    ),
    "shop": (
        "price cart buy add shipping stock sku quantity qty checkout warenkorb preis versand lieferzeit panier prix "
        "livraison carrito precio envío comprar carrello prezzo koszyk cena купить цена"
    ),
    "paging": (
        "next previous prev back home page menu search skip top weiter zurück startseite suche suivant précédent accueil "
        "siguiente anterior inicio successivo avanti następny поиск главная 上一篇 下一篇 首页"
    ),
    "tags": (
        "tags tag category categories filed topics topic keywords labels schlagworte schlagwörter themen kategorie catégorie "
        "catégories etiquetas categoría tagi tematy теги 标签"
    ),
    "picture": (
        "photo photos image images picture credit getty reuters caption video watch gallery foto fotos bild bilder quelle "
        "crédit imagen zdjęcie фото"
    ),
    "details": (
        "description specifications specification features overview details summary about introduction contents conclusion "
        "ingredients instructions beschreibung einleitung fazit zusammenfassung résumé descripción características opis"
    ),
    "action": (
        "read view see click show load continue learn discover download get start try contact explore weiterlesen lesen "
        "anzeigen voir découvrir leer ver scopri zobacz подробнее"
    ),
    "thread": (
        "joined posts member likes like votes vote answered asked quote wrote said thanks reputation registered beiträge "
        "mitglied zitat messages citation сообщения"
    ),
    "review": "review reviews rating ratings stars verified helpful customer bewertung bewertungen avis opinión opiniones recensioni opinie отзывы",
}
"""Words by their first eight bytes of UTF-8."""

_LOOKUP = Lookup({code(word): at for at, words in reversed([*enumerate(GROUPS.values())]) for word in words.split()})
SHORT = 90  # weight up to which a block is looked at: about 15 English words
READ = 48  # bytes of it


def block_words(markup: Markup, blocks: Blocks) -> Floats:
    """Does a short block name a word of each group? Shape (len(GROUPS), n)."""
    found = np.zeros((len(GROUPS), blocks.n))
    short = np.flatnonzero(blocks.weight <= SHORT)
    if not len(short):
        return found
    starts = blocks.text[short]
    ends = np.minimum(blocks.text_end[short], starts + READ)
    if native is not None:
        native.sayings(markup.a, short, starts, ends, *_LOOKUP.table, found, *_LOOKUP.slots, len(GROUPS))
    else:
        in_numpy(markup.a, short, starts, ends, found)
    return found


def in_numpy(a: Octets, short: Ints, starts: Ints, ends: Ints, found: Floats) -> None:
    """The groups that some blocks name, without a compiler: writes ones."""
    at, begins = spans(starts, ends)
    raw = a.take(at)
    capital = (raw >= 65) & (raw <= 90)
    lower = np.append(raw | (capital.view(np.uint8) << 5), np.zeros(8, np.uint8))
    letter = ((lower[:-8] >= 97) & (lower[:-8] <= 122)) | (raw >= 0x80)
    begin = letter.copy()
    begin[1:] &= ~letter[:-1]
    begin[begins] = letter[begins]
    final = letter.copy()
    final[:-1] &= ~letter[1:]
    edges = begins[1:] - 1
    final[edges] = letter[edges]
    first, last = np.flatnonzero(begin), np.flatnonzero(final)
    group = _LOOKUP(first_bytes(eight(lower, first), last - first + 1))
    known = np.flatnonzero(group >= 0)
    found[group[known], short[np.searchsorted(begins, first[known], side="right") - 1]] = 1


def heading_words(words: Floats, heading: Ints) -> Floats:
    """The groups that the last heading before each block names; `heading`: blocks that are headings. Shape as `words`."""
    n = words.shape[1]
    above = np.full(n, -1)
    above[heading] = heading
    above = np.maximum.accumulate(above)
    return np.where(above >= 0, words[:, np.maximum(above, 0)], 0.0)
