"""English and Brazilian Portuguese, by the language of the browser.

The texts are written in English. translations/*.po has the Portuguese: one file for the library's own texts,
one for what all screens share, one for each screen. They are read when the console starts, so there is
nothing to compile. Portuguese is `pt` to the library, whose own is European; ours takes its place.
"""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from starlette_admin import i18n
from starlette_admin.i18n import get_locale, gettext, lazy_gettext, ngettext, set_locale

__all__ = ["LANGUAGES", "TRANSLATIONS", "get_locale", "gettext", "lazy_gettext", "ngettext", "set_locale"]

LANGUAGES = ("en", "pt")
TRANSLATIONS = Path(__file__).parent / "translations"

#: The zone of everything that is shown, which is that of the business dates.
ZONE = ZoneInfo("America/Sao_Paulo")

_DAY = {"pt": "dd/MM/yyyy", "en": "d MMM yyyy"}
_TIME = {"pt": "HH:mm", "en": "HH:mm"}


@cache
def install() -> None:
    """Put our Portuguese in the place of the library's; once in the life of the process."""
    merged = i18n.translations["pt"]
    assert isinstance(merged, Translations)
    for path in sorted(TRANSLATIONS.glob("*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as source:
            write_mo(compiled, read_po(source, locale="pt_BR"))
        compiled.seek(0)
        merged.merge(Translations(compiled, domain="admin"))


def choose(accept_language: str) -> str:
    """The language that a browser would rather have, of those there are: `pt` or `en`."""
    wanted: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        tag, _, parameters = part.partition(";")
        name, _, quality = parameters.strip().partition("=")
        try:
            weight = float(quality) if name.strip() == "q" else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((weight, tag.strip().lower().partition("-")[0]))
    wanted.sort(key=lambda one: one[0], reverse=True)  # stable: of equal ones the first
    return next((tag for weight, tag in wanted if weight > 0 and tag in LANGUAGES), "en")


# -- how values are written ---------------------------------------------------------------------------------


def number(value: float | Decimal | None) -> str:
    """A number with the separators of the language; nothing for None."""
    return "" if value is None else numbers.format_decimal(value, locale=get_locale())


def money(value: Decimal | None) -> str:
    """An amount in reais."""
    return "" if value is None else numbers.format_currency(value, "BRL", locale=get_locale())


def day(value: dt.date | None) -> str:
    """A date: 22 Nov 2026, or 22/11/2026."""
    return "" if value is None else dates.format_date(value, _DAY[get_locale()], locale=get_locale())


def month(value: dt.date | None) -> str:
    """The month of a date: November 2026, or novembro de 2026."""
    return "" if value is None else dates.format_skeleton("yMMMM", value, locale=get_locale())


def weekday(value: dt.date | None) -> str:
    """The day of the week of a date, short: Sun, or dom."""
    return "" if value is None else dates.format_date(value, "EEE", locale=get_locale()).rstrip(".")


def size(value: int | None) -> str:
    """A number of bytes, in a unit that suits it: 840 B, 98.8 kB, 1.2 MB."""
    if value is None:
        return ""
    units = ["B", "kB", "MB", "GB", "TB"]
    amount = float(value)
    while round(amount, 1) >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{number(round(amount, 1))} {units[0]}"


def zoned(text: str, zone: ZoneInfo) -> str:
    """A time with the name of its zone, where that is not the one of everything else."""
    return text if zone.key == ZONE.key else f"{text} ({zone.key})"


def instant(value: dt.datetime | None, zone: ZoneInfo = ZONE) -> str:
    """A point in time, to the minute; of a zone other than that of the business dates it names the zone."""
    if value is None:
        return ""
    here = value.astimezone(zone)
    time = dates.format_time(here, _TIME[get_locale()], locale=get_locale())
    return zoned(f"{day(here.date())} {time}", zone)


def moment(value: dt.datetime | None, zone: ZoneInfo = ZONE) -> str:
    """A point in time near now, shorter than `instant`: today 10:43, tomorrow 04:00."""
    if value is None:
        return ""
    here = value.astimezone(zone)
    near = {-1: gettext("yesterday"), 0: gettext("today"), 1: gettext("tomorrow")}
    name = near.get((here.date() - dt.datetime.now(zone).date()).days)
    return zoned(f"{name} {here:%H:%M}", zone) if name else instant(value, zone)


def duration(seconds: float | Decimal | dt.timedelta | None) -> str:
    """A length of time, in its two greatest units: 2 h 05 min, 3 min 20 s, 0.4 s."""
    if seconds is None:
        return ""
    total = seconds.total_seconds() if isinstance(seconds, dt.timedelta) else float(seconds)
    if total < 10:
        return f"{number(round(total, 1))} s"
    minutes, rest = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


FILTERS = {
    "number": number,
    "money": money,
    "day": day,
    "month": month,
    "weekday": weekday,
    "size": size,
    "instant": instant,
    "moment": moment,
    "duration": duration,
}
