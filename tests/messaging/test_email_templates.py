"""E-mail templates: what saving refuses, what rendering prints, the layout, the text part, the preview."""

from __future__ import annotations

import datetime as dt
from email import policy
from email.message import EmailMessage
from typing import Any

import lxml.html
import psycopg
import pytest

from rotina.errors import SettingError
from rotina.local.settings import REPOSITORY
from rotina.messaging import email_layout
from rotina.messaging.email_templates import (
    LONGEST_SUBJECT,
    VARIABLES,
    EmailTemplateSettings,
    Rendered,
    Renderer,
    RenderError,
    check_email_template,
    load_email_template,
    preview,
    save_email_template,
)
from tests.messaging.queue_data import add_account

DOCUMENT = "<!doctype html><html><body><p>Oi</p>{}</body></html>"
LINK = '<a href="{{ unsubscribe_url }}">Sair</a>'
URL = "https://example.com/rotina/unsubscribe/abc"


def template(**changes: Any) -> EmailTemplateSettings:
    usual: dict[str, Any] = {
        "name": "aniversario",
        "subject": "Feliz aniversário, {{ first_name }}!",
        "html": "<h1>Oi, {{ name }}</h1>\n<p>Você faz {{ age }} anos em {{ birth_on | date }}.</p>\n",
        "company": "Padaria & Cia",
    }
    return EmailTemplateSettings(**usual | changes)


def values(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "name": "Ana Souza",
        "first_name": "Ana",
        "email": "ana@example.com",
        "birth_on": dt.date(1990, 2, 28),
        "age": 36,
        "business_date": dt.date(2026, 2, 28),
        "unsubscribe_url": URL,
    }
    return usual | changes


def render(settings: EmailTemplateSettings | None = None, **changes: Any) -> Rendered:
    return Renderer(settings or template()).render(values(**changes))


def words_of(html: str) -> str:
    """What a reader of an HTML part sees."""
    return " ".join(" ".join(lxml.html.fromstring(html).find("body").itertext()).split())


# -- rendering ----------------------------------------------------------------------------------------------


def test_an_email_has_a_subject_an_html_part_in_the_layout_and_a_text_part() -> None:
    found = render(template(preheader="Um presente para {{ first_name }}"))
    assert found.subject == "Feliz aniversário, Ana!"
    assert words_of(found.html) == (
        "Um presente para Ana Padaria & Cia Oi, Ana Souza Você faz 36 anos em 28/02/1990. "
        "Não quero mais receber estes e-mails"
    )
    assert [link.get("href") for link in lxml.html.fromstring(found.html).iter("a")] == [URL]
    assert found.text == (
        "Oi, Ana Souza\n\nVocê faz 36 anos em 28/02/1990.\n\n-- \nPadaria & Cia\n"
        f"Não quero mais receber estes e-mails: {URL}\n"
    )


def test_without_a_company_nothing_stands_above_the_card() -> None:
    found = render(template(company=""))
    assert words_of(found.html).startswith("Oi, Ana Souza")
    assert "\n\n-- \nNão quero" in found.text


def test_a_producer_may_name_the_company() -> None:
    assert "Outra" in render(template(html="{{ company }}"), company="Outra").text


@pytest.mark.parametrize(
    "name",
    [
        "<b>Ana</b>",
        "{{7*7}}",
        "{% raw %}",
        "{{ unsubscribe_url }}",
        "Zoë Ávila-Ñuñez d'Ângelo",
        "Ana 🎂👩‍👩‍👧",
        '"><script>alert(1)</script>',
        "&lt;Ana&gt;",
        "\ue0000\ue001",
    ],
)
def test_what_a_name_holds_is_printed_as_text(name: str) -> None:
    found = render(template(html="Oi, {{ name }}.", text="Oi, {{ name }}.", subject="{{ name }}"), name=name)
    assert found.subject == name
    assert found.text.startswith(f"Oi, {name}.")
    assert f"Oi, {name}." in lxml.html.fromstring(found.html).find("body").text_content()
    assert "<script>" not in found.html
    assert "49" not in found.subject


def test_a_derived_text_prints_names_as_they_are() -> None:
    assert render(name="<b>Ana & Eva</b>").text.startswith("Oi, <b>Ana & Eva</b>\n")


@pytest.mark.parametrize(
    "name",
    ["Ana\r\nBcc: eve@example.com", "Ana\nBcc: eve@example.com", "Ana\x1b\x85\u2028Bcc: eve@example.com"],
)
def test_a_line_break_in_a_name_is_a_space_in_the_subject(name: str) -> None:
    subject = render(template(subject="Oi, {{ name }}"), name=name).subject
    assert subject == "Oi, Ana Bcc: eve@example.com"
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = subject
    assert message.as_bytes().count(b"\r\n") == 2


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({"subject": "{{ name }}"}, {"name": " \r\n"}, "subject: is blank"),
        ({"subject": "{{ name }}"}, {"name": "a" * 300}, "subject: has 300 characters"),
        ({"subject": "{{ '\\ud800' }}"}, {}, "subject: holds a character"),
        ({"html": "Oi{{ '\\x00' }}"}, {}, "html: holds a character that cannot be stored"),
        ({"html": "Oi", "text": "{{ '\\ud800' }}"}, {}, "text: holds a character that cannot be stored"),
        ({"html": "{{ {}[name.lower()] }}"}, {}, "html: 'dict object' has no attribute '…'"),
        ({"text": "Oi{% if age > 36 %}{{ unsubscribe_url }}{% endif %}"}, {}, "text: must print"),
        ({"html": DOCUMENT.format("{% if age > 36 %}" + LINK + "{% endif %}")}, {}, "html: must print"),
        ({"html": "{{ 9**9**9 }}"}, {}, "html: ** makes too much"),
        ({"html": "{{ 'x' * 10000000 }}"}, {}, "html: * makes too much"),
        ({"html": "{{ '%9999999s' % 1 }}"}, {}, "html: % makes too much"),
        ({"html": "{{ '%*s' % (9999999, 1) }}"}, {}, "html: % makes too much"),
        ({"html": "{{ name.center(9999999) }}"}, {}, "html: a width is too great"),
        ({"html": "{{ '{:9999999}'.format(1) }}"}, {}, "html: format is not for templates"),
        ({"html": "{{ birth_on | date('%9999999d') }}"}, {}, "html: a width is too great"),
        (
            {"html": "{% for a in 'x' * 1000 %}{{ 'y' * 1000 }}{% endfor %}"},
            {},
            "html: has more than 500000 characters",
        ),
        ({}, {"age": None}, "html: prints a variable that is empty; ask first"),
        ({"text": "{{ age }}", "html": "Oi"}, {"age": None}, "text: prints a variable that is empty"),
        ({"html": "{{ name.first }}"}, {}, "html: 'str object' has no attribute 'first'"),
        ({"html": "{{ {}[first_name] }}"}, {}, "html: 'dict object' has no attribute '…'"),
        ({"html": "{{ {}[name.split()[1]] }}"}, {}, "html: 'dict object' has no attribute '…'"),
        ({"html": "{{ 1 / (age - 36) }}"}, {}, "html: ZeroDivisionError"),
        ({"html": "{{ name + 1 }}"}, {}, "html: TypeError"),
        ({"html": "{{ birth_on.strftime(name) + age }}"}, {}, "html: TypeError"),
        (
            {"html": "{{ name.__class__.__mro__ }}"},
            {},
            "html: access to attribute '__class__' of 'str' object",
        ),
        ({"html": "{{ ''.join.__self__ }}"}, {}, "html: access to attribute"),
        ({"html": "{{ [name]|map('safe')|join }}"}, {}, "html: No filter named 'safe'"),
        ({"html": "{{ name|attr('__class__') }}"}, {}, "html: access to attribute '__class__'"),
    ],
)
def test_a_failure_names_the_part_and_nothing_of_the_account(
    changes: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(RenderError) as failed:
        render(template(**changes), **given)
    assert str(failed.value).startswith(said)
    assert failed.value.field == said.partition(":")[0]
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__ or failed.value.__context__ is None
    for word in ("Ana", "Souza", "ana@example.com"):
        assert word not in str(failed.value)


_TEN = "'0123456789'"


@pytest.mark.parametrize(
    ("html", "said"),
    [
        (f"{{% for a in {_TEN} %}}" * 8 + "{% endfor %}" * 8, "works too long"),
        (f"{{% for a in {_TEN} if a %}}" * 8 + "{{ loop.length }}" + "{% endfor %}" * 8, "works too long"),
        (
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
            "works too long",
        ),
        ("{% set a = name ~ name %}" + "{% set a = a ~ a %}" * 40, "works too long"),
        ("{% set a = name + name %}" + "{% set a = a + a %}" * 40, "works too long"),
        ("{% set a = name %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40, "works too long"),
        ("{% set a = name %}" + "{% set a = [a, a, a, a] %}" * 40 + "{{ a }}", "works too long"),
        ("{% set a = name %}" + "{% set a = a | replace('a', a) %}" * 9, "makes too much"),
        ("{% set a = name %}" + "{% set a = a.replace('a', a) %}" * 9, "makes too much"),
        (
            "{% set a = name | list %}" + "{% set a = a | map('upper') | join(a) | list %}" * 9,
            "works too long",
        ),
        (
            "{{ 'a' | replace('a', 'aaaaaaaaaa')" + " | replace('a', 'aaaaaaaaaa')" * 9 + " }}",
            "works too long",
        ),
        ("{{ 1 | round(1000000000, 'ceil') }}", "a width is too great"),
    ],
)
def test_no_template_works_for_long(html: str, said: str) -> None:
    """Without their bound most of these would end neither soon nor with the memory that there is."""
    with pytest.raises(RenderError, match=f"^html: {said}"):
        render(template(html=html))
    with pytest.raises(SettingError, match=said):
        check_email_template(template(html=html))


def test_what_is_bounded_works_as_ever() -> None:
    subject = (
        "{% for a in name.split() %}{{ loop.index }}/{{ loop.length }} {{ a | upper }}"
        "{{ '' if loop.last else ', ' }}{% else %}none{% endfor %} "
        "{{ {}.x | default('–') }} {{ [1, 2] | join('+') }} {{ 'a' ~ (1 + 1) }} "
        "{{ name.split() | map('replace', 'a', 'o') | join('-') }}"
    )
    assert render(template(subject=subject)).subject == "1/2 ANA, 2/2 SOUZA – 1+2 a2 Ano-Souzo"


def test_a_variable_that_was_not_given_is_a_failure() -> None:
    given = values()
    del given["first_name"]
    with pytest.raises(RenderError, match=r"^subject: 'first_name' is undefined$"):
        Renderer(template()).render(given)


def test_one_account_that_fails_leaves_the_renderer_as_it_was() -> None:
    renderer = Renderer(template())
    before = renderer.render(values())
    with pytest.raises(RenderError):
        renderer.render(values(age=None))
    assert renderer.render(values()) == before


# -- the text part ------------------------------------------------------------------------------------------


def test_a_text_is_derived_with_its_links_and_conditions() -> None:
    html = """
        <p>Oi,&nbsp;{{ first_name }} &amp; família{% if age %}!{% endif %}</p>
        {% if age and age >= 18 %}
            <p><a href="https://example.com/?e={{ email }}">Seu presente</a></p>
        {% endif %}
        {# nota #}
        <p>{% raw %}{{ raw }}{% endraw %}</p>
        <ul>{% for part in name.split() %}<li>{% if age %}{{ part }}{% endif %}</li>{% endfor %}</ul>
        <style>p { color: red }</style>
    """
    adult, child = (render(template(html=html), age=age).text.partition("\n\n-- ")[0] for age in (18, 17))
    assert adult == (
        "Oi, Ana & família!\n\n[Seu presente](https://example.com/?e=ana@example.com)\n\n"
        "{{ raw }}\n\n  * Ana\n  * Souza"
    )
    assert child == "Oi, Ana & família!\n\n{{ raw }}\n\n  * Ana\n  * Souza"


def test_in_a_text_a_line_of_tags_is_no_line_and_a_tag_at_the_end_of_a_line_does_not_join_it() -> None:
    text = "Oi{% if age %}!{% endif %}\n  {% if age %}\nVocê faz {{ age }} anos.\n{% endif %}\nTchau"
    assert render(template(text=text)).text.startswith("Oi!\nVocê faz 36 anos.\nTchau\n\n-- \n")
    assert render(template(text=text, html="Oi"), age=0).text.startswith("Oi\nTchau\n\n-- \n")


@pytest.mark.parametrize(
    "html",
    [
        "<p {% if age %}class='a'{% endif %}>Oi</p>",
        "<style>{% if age %}p{}{% endif %}</style>Oi",
        "<img src='a.png'>",
        "<table><tr>{% if age %}<td>Oi</td>{% endif %}</tr></table>",
    ],
)
def test_a_text_that_cannot_be_derived_is_asked_for(html: str) -> None:
    with pytest.raises(SettingError, match=r"^text = ''"):
        check_email_template(template(html=html))
    check_email_template(template(html=html, text="Oi"))


def test_a_text_of_its_own_gets_the_link_unless_it_prints_it() -> None:
    assert render(template(text="Oi\n\n")).text.startswith("Oi\n\n-- \n")
    assert render(template(text="Oi\nSair: {{ unsubscribe_url }}\n")).text == f"Oi\nSair: {URL}\n"


def test_a_whole_document_is_taken_as_it_is() -> None:
    found = render(template(html=f"\n{DOCUMENT.format(LINK)}", preheader="não aparece"))
    assert words_of(found.html) == "Oi Sair"
    assert found.text == f"Oi\n\n[Sair]({URL})\n"


# -- saving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": " "}, "name", "must not be blank"),
        ({"subject": ""}, "subject", "must not be blank"),
        ({"html": " \n"}, "html", "must not be blank"),
        ({"subject": "Oi\r\nBcc: eve@example.com"}, "subject", "must be one line"),
        ({"subject": "Oi\x07"}, "subject", "must be one line"),
        ({"company": "a\nb"}, "company", "must be one line"),
        ({"html": "a\0b"}, "html", "NUL"),
        ({"subject": "a" * (LONGEST_SUBJECT + 1)}, "subject", "at most 255 characters"),
        ({"subject": "Oi, {{ first_name"}, "subject", "line 1: unexpected end of template"),
        ({"html": "a\n<p>{% if age %}</p>\n"}, "html", "line 2: Unexpected end of template"),
        ({"html": "{# a"}, "html", "Missing end of comment tag"),
        ({"html": "{{ name | shout }}"}, "html", "No filter named 'shout'"),
        ({"html": "{% set unsubscribe_url = 'x' %}a"}, "html", "templates must not set it"),
        ({"text": "{% macro unsubscribe_url() %}{% endmacro %}a"}, "text", "templates must not set it"),
        (
            {"text": "a{% if false %}{{ unsubscribe_url }}{% endif %}"},
            "text",
            "must print {{ unsubscribe_url",
        ),
        ({"html": "{{ 'x' | center(9999999) }}"}, "html", "No filter named 'center'"),
        ({"html": "{{ name | safe }}"}, "html", "No filter named 'safe'"),
        ({"html": "Oi, {{ nome }}"}, "html", "is not a variable; there are name, first_name"),
        ({"text": "Oi, {{ nome }}"}, "text", "is not a variable"),
        ({"preheader": "{{ nome }}"}, "preheader", "is not a variable"),
        ({"preheader": "{{ content }}"}, "preheader", "is not a variable"),
        ({"html": "{% for _ in range(9) %}a{% endfor %}"}, "html", "is not a variable"),
        ({"html": "{% for _ in 'ab' recursive %}{{ loop('ab') }}{% endfor %}"}, "html", "may not use"),
        ({"html": "{% include 'run_summary.html.j2' %}"}, "html", "may not use"),
        ({"html": "{% extends 'email.html.j2' %}"}, "html", "may not use"),
        ({"html": "{% import 'a' as a %}"}, "html", "may not use"),
        ({"html": "{% autoescape false %}{{ name }}{% endautoescape %}"}, "html", "may not use"),
        ({"html": "{% block a %}{% endblock %}"}, "html", "may not use"),
        ({"html": "{{ " + "(" * 5000 + "name" + ")" * 5000 + " }}"}, "html", "nested too deeply"),
        ({"html": DOCUMENT.format("")}, "html", "must print {{ unsubscribe_url }}"),
        ({"html": "{{ name.first }}"}, "html", "fails for an example: 'str object' has no attribute"),
        ({"subject": "{% if not name %}Oi{% endif %}"}, "subject", "fails for an example: is blank"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    changes: dict[str, Any],
    field: str,
    said: str,
) -> None:
    with pytest.raises(SettingError) as refused:
        save_email_template(connection, template(**changes), "ana")
    assert refused.value.field == field
    assert said in refused.value.problem
    for table in ("email_template", "audit_entry"):
        assert owner.execute(f"select count(*) from crm.{table}").fetchone() == (0,)


def test_saving_inserts_then_changes_with_an_audit(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    first = save_email_template(connection, template(), "ana")
    assert save_email_template(connection, template(subject="Oi", active=False), "bia") == first
    with pytest.raises(SettingError, match=r"^template = 'aniversario': is not active$"):
        load_email_template(connection, "aniversario")
    save_email_template(connection, template(subject="Oi"), "bia")
    stored = load_email_template(connection, "aniversario")
    assert (stored.id, stored.subject, stored.html, stored.text) == (first, "Oi", template().html, "")
    assert stored.updated_by == "bia"
    audit = owner.execute("select login, action, target, details from crm.audit_entry order by id").fetchall()
    target = {"email_template": "aniversario"}
    assert audit == [
        ("ana", "save_email_template", target, {"created": True}),
        (
            "bia",
            "save_email_template",
            target,
            {"changed": {"subject": [template().subject, "Oi"], "active": [True, False]}},
        ),
        ("bia", "save_email_template", target, {"changed": {"active": [False, True]}}),
    ]


def test_an_unknown_template_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(SettingError, match=r"^template = 'natal': there is no e-mail template"):
        load_email_template(connection, "natal")


# -- preview ------------------------------------------------------------------------------------------------


def test_a_preview_shows_what_an_account_would_get(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    settings = template(
        html="{{ first_name }}|{{ name }}|{{ email }}|{% if age %}{{ age }}{% endif %}|"
        "{{ business_date | date }}",
        active=False,
    )
    save_email_template(connection, settings, "ana")
    day = dt.date(2026, 11, 20)
    born = dt.date(1990, 11, 20)
    ana = add_account(owner, name="ANA SOUZA <b>", email="ana@example.com", birth_on=born)
    found = preview(connection, "aniversario", ana, day)
    assert found.subject == "Feliz aniversário, Ana!"
    assert found.text.startswith("Ana|ANA SOUZA <b>|ana@example.com|36|20/11/2026\n")
    assert "preview.invalid" in found.html
    eva = add_account(owner, name="Eva", email="eva@example.com")
    assert preview(connection, "aniversario", eva, day).text.startswith("Eva|Eva|eva@example.com||20/11")
    with pytest.raises(SettingError, match=r"^account_id = 999: there is no such account$"):
        preview(connection, "aniversario", 999, day)


# -- the layout and the docs --------------------------------------------------------------------------------


def test_the_compiled_layout_is_fresh() -> None:
    assert email_layout.COMPILED.read_text(encoding="utf-8") == email_layout.compiled()


def test_the_layout_is_what_mail_programs_take() -> None:
    html = render().html
    assert 'lang="pt-BR"' in html
    assert "width:600px" in html
    assert "max-width:600px" in html
    assert 'name="color-scheme" content="light dark"' in html
    assert "prefers-color-scheme: dark" in html
    for outside in ("<link", "<script", "@import", "src="):
        assert outside not in html
    assert len(html) < 20_000  # Gmail shows the first 102 kB


def test_every_variable_is_documented() -> None:
    page = (REPOSITORY / "docs" / "email-templates.md").read_text(encoding="utf-8")
    for name, (meaning, portuguese) in VARIABLES.items():
        assert f"`{name}`" in page
        assert meaning
        assert portuguese
