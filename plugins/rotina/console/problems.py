"""What the domain code refuses, in the language of the caller: it speaks English, a form need not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from rotina.console.codes import word
from rotina.console.language import gettext


def _(text: str) -> str:
    """Marks a text that is translated where it is shown."""
    return text


#: What the domain code calls the records that it names.
KINDS = (_("class rule"), _("monitoring profile"), _("audience"), _("rule"))

#: What may be refused of a form, as rotina.accounts, rotina.messaging and rotina.runs say it.
PROBLEMS = (
    # any field
    _("must not be blank"),
    _("must be one line, without control characters"),
    _("must have at most %(most)s characters"),
    _("must not hold the character NUL"),
    _("must be a whole number from %(least)s to %(most)s"),
    _("must be one of %(names)s"),
    _("must be a name of small letters, digits and _, beginning with a letter"),
    _("is no e-mail address"),
    _("is no phone number as +5511999990000 (E.164)"),
    _("is not suppressed"),
    # filters
    _("must be an object: all, any, or a condition"),
    _("must have field, op and value, or one of all and any alone"),
    _("%(kind)s stands alone in its object"),
    _("is nested too deep; at most %(most)s"),
    _("is too large or too deep to be read"),
    _("has too many conditions and values; at most %(most)s"),
    _("must be a list with one or more members"),
    _("is no field; there are %(names)s"),
    _("%(name)s is never empty"),
    _("%(name)s takes one of %(names)s"),
    _("%(name)s takes no value"),
    _("is missing; %(name)s takes one"),
    _("must be a list with one or more values"),
    _("must be two values, the lower one first"),
    _("must be true or false"),
    _("must be a whole number"),
    _("must be a text that is not blank"),
    _("is too long; at most %(most)s characters"),
    _("has a character that no text may have"),
    _('must be an amount of money: a text as "1000.00" or a whole number'),
    _('must be a date as "2026-11-20"'),
    # audiences
    _("there is no audience of that name"),
    _("is either a list of accounts or a filter"),
    _("names no account; a run without an audience is for all"),
    _("there are no such accounts"),
    _("there is no such account"),
    _("is used by %(names)s"),
    # classes and their rules
    _("there is no such class; there are: %(names)s"),
    _("there is no such class"),
    _("there is no class of that name"),
    _("this class is not active"),
    _("another class has that name"),
    _("another rule has that name"),
    _("there is no rule of that name"),
    _("rule %(name)s leads to the class that it starts from"),
    _("leads to the class that it starts from"),
    _("%(users)s asks for class %(name)s by name; change that first"),
    _("can never match: rule %(names)s comes before it whenever it holds"),
    _("can never move an account %(where)s: %(conditions)s"),
    _("make a loop for accounts that meet the conditions of all of them: %(way)s"),
    _("are too entangled to look for loops"),
    # monitoring profiles and teams
    _("there is no profile of that name"),
    _("another profile has that name"),
    _("has found accounts; set it inactive instead"),
    _("name what counts as movement: %(codes)s"),
    _("must be of %(codes)s"),
    _("one of them is given twice"),
    _("there is no user of that login"),
    _("a team needs a member who is active"),
    _("there is no team of that name"),
    _("has left: the user is not active"),
    _("has no active member"),
    _("give transfer_to_login or transfer_to_team, not both"),
    _("a profile that notifies nobody and transfers nothing does nothing"),
    # templates
    _("line %(line)s: %(words)s"),
    _("fails for an example: %(words)s"),
    _("is not a variable; there are %(names)s"),
    _("is a variable of the account; templates must not set it"),
    _("is a tag that templates may not use"),
    _("is nested too deeply"),
    _("is blank, and the html has no words to derive it from"),
    _("cannot be derived from html with Jinja tags in such places; write it"),
    _("a whole document must print {{ unsubscribe_url }}"),
    _("prints a variable that is empty; ask first, as {%% if age %%}"),
    _("a place must be a number from 1, as {{1}}"),
    _("{{%(place)s}} is missing: places are numbered from 1 without a gap"),
    _("%(given)s variables for the %(wanted)s places of the body"),
    _("no single routine fills all of them"),
    _("sends e-mail, which has no templates of the gateway with places"),
    # dunning
    _("another step has that name"),
    _("there is no step of that name"),
    _("step %(name)s sends the same template that day"),
    _("there is no such template"),
    _("is not active"),
    _("of template %(name)s is not active"),
    _("is not approved by the gateway: %(status)s"),
    _("template %(name)s wants it, and %(origin)s offers %(names)s"),
    _("has written messages; set it inactive instead"),
    _("the ERP has no such customer"),
    _("there is no exception for this customer"),
    # gateways
    _("there is no gateway of that code"),
    _("gateway %(code)s has messages or templates of %(kind)s; make another gateway"),
    _("is not a time zone, as America/Sao_Paulo"),
    _("must be above zero (messages per second), or empty for no limit"),
    _("must be at most max_in_flight (%(most)s): each takes its share of it"),
    _("must be at most backoff_most_seconds (%(most)s)"),
    _("a window that never opens: an active gateway needs at least one"),
    _(
        "a window that never opens: it must open before it closes; over midnight takes two windows, "
        "one to 24:00 and one from 00:00 of the next day"
    ),
    _("another window of the day opens at the same time"),
    _("Field required"),
    # recipients of summaries
    _("gets no summaries of this routine"),
)


def problem_in_words(problem: str) -> str:
    """What is wrong, in the language of the caller; in English where nobody translated it."""
    for text, pattern in _patterns():
        if found := pattern.fullmatch(problem):
            values = found.groupdict()
            if codes := values.get("codes"):
                values["codes"] = ", ".join(word(code) for code in codes.split(", "))
            return gettext(text) % {name: _kinds(value) for name, value in values.items()}
    return problem


def _kinds(value: str) -> str:
    """A value with the kinds of the records that it names in the language of the caller."""
    for kind in KINDS:
        value = re.sub(rf"\b{kind} (?=')", f"{gettext(kind)} ", value)
    return value


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Each of PROBLEMS with what reads its values again, those without values first."""
    compiled = [(text, re.compile("".join(_parts(text)), re.DOTALL)) for text in PROBLEMS]
    return sorted(compiled, key=lambda one: one[1].groups)


def _parts(text: str) -> Iterator[str]:
    for part in re.split(r"(%\(\w+\)s)", text):
        place = re.fullmatch(r"%\((\w+)\)s", part)
        yield f"(?P<{place[1]}>.+)" if place else re.escape(part.replace("%%", "%"))
