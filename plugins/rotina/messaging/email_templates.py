"""E-mail templates: what Rotina writes to accounts, in Jinja, with a fixed set of variables.

Templates are written by users, so they are rendered in Jinja's sandbox, without its globals, and can include
no file. What a variable holds is printed as text, whatever is in it. docs/email-templates.md is for those who
write them.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import inscriptis
import jinja2
import psycopg
from inscriptis.model.config import ParserConfig
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import _PassArg
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape
from psycopg.rows import dict_row

from rotina.errors import RotinaError, SettingError
from rotina.messaging.email_frames import PLACES, Frame, mark
from rotina.messaging.gateways import changes, check_text, record_audit
from rotina.runs.summary import LAYOUTS
from rotina.sql import statement

#: What an e-mail to an account may print: the meaning in English, and as a form shows it.
VARIABLES: dict[str, tuple[str, str]] = {
    "name": ("name of the account", "nome da conta"),
    "first_name": ("its first word", "primeiro nome"),
    "email": ("address that the e-mail goes to", "endereço de e-mail"),
    "birth_on": ("date of birth; {{ birth_on | date }} is 20/11/1990", "data de nascimento"),
    "age": ("years on this birthday; empty when the year is not known", "idade que completa"),
    "business_date": ("day of the routine; {{ business_date | date }} is 20/11/2026", "data de negócio"),
    "company": ("sender's name, as the template has it", "nome da empresa"),
    "unsubscribe_url": ("link that ends these e-mails", "link de descadastro"),
}

#: Characters of a subject, as written and as rendered.
LONGEST_SUBJECT = 255

#: Characters of a rendered part: Gmail cuts what is longer than 102 kB.
LONGEST_PART = 500_000
#: Of what a template computes: repetitions, digits, characters that a width asks for.
_MOST_WORK = 10_000
#: Of the steps of one part for one account (see `_Context.count`); an e-mail takes some dozens.
_MOST_STEPS = 10_000
#: Characters that one filter or method may make of its texts, should it multiply them as `replace` does.
_MOST_AT_ONCE = 20_000_000
_WIDE = re.compile(r"%[^%a-zA-Z]*(?:[0-9]{4}|\*)")

#: An account that every template must do for.
_SAMPLE: dict[str, Any] = {
    "name": "Ana Souza",
    "first_name": "Ana",
    "email": "ana.souza@example.com",
    "birth_on": dt.date(1990, 11, 20),
    "age": 36,
    "business_date": dt.date(2026, 11, 20),
    "unsubscribe_url": "https://example.com/rotina/unsubscribe/exemplo",
}
#: The link of a preview, which must unsubscribe nobody (RFC 2606: nothing is there).
_PREVIEW_UNSUBSCRIBE_URL = "https://preview.invalid/unsubscribe"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLANKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_LINE_OF_TAGS = re.compile(r"^[ \t]*((?:\{%(?:(?!%\}).)*%\})+)[ \t]*\n", re.MULTILINE)
#: Stands for the Jinja code of that number while a parser of HTML reads the words around it.
_CODE = re.compile("\ue000([0-9]+)\ue001")
_DOCUMENT = re.compile(r"\s*<(!doctype|html)\b", re.IGNORECASE)
#: Tags that would reach beyond the template, or print what a variable holds as it is.
_REFUSED_TAGS: dict[type[nodes.Node], str] = {
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}


@dataclass(frozen=True)
class EmailTemplateSettings:
    """What a person sets of an e-mail template."""

    name: str
    subject: str
    html: str
    """Jinja: what stands inside the default layout; or a whole document: <!doctype … or <html …"""
    text: str = ""
    """Jinja: the text part; empty: derived from `html`."""
    preheader: str = ""
    """Jinja: what mail programs show beside the subject; only in the default layout."""
    company: str = ""
    """The sender's name, in the default layout and as the variable `company`."""
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class EmailTemplate(EmailTemplateSettings):
    """An e-mail template as stored."""

    id: int
    updated_at: dt.datetime
    updated_by: str


class Rendered(NamedTuple):
    """An e-mail to one account."""

    subject: str
    """One line, not blank."""
    html: str
    text: str


class Parts(NamedTuple):
    """An e-mail to one account, as a payload has it."""

    subject: str
    """One line, not blank."""
    text: str
    html: str | dict[str, str]
    """A whole document; or what goes into the frame of the renderer: `preheader` and `content`."""


class RenderError(RotinaError):
    """A template could not be rendered for one account. The text holds nothing of the account.

    Attributes:
        field: the part of the template: subject, preheader, html or text.
        problem: what went wrong.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Renderer:
    """A template, compiled once and rendered for one account after another.

    Attributes:
        frame: the layout around the html, the same for all accounts (rotina.messaging.email_frames); None
            when the html is a whole document.
    """

    def __init__(self, template: EmailTemplateSettings) -> None:
        """Raises SettingError, naming field and value, for a template that cannot be used."""
        used = {
            name: _check_source(name, getattr(template, name)) for name in ("subject", "preheader", "html")
        }
        text = template.text if template.text.strip() else _derived_text(template.html)
        used["text"] = _check_source("text", text)
        self.frame: Frame | None = None
        if not _DOCUMENT.match(template.html):
            self.frame = _frame(template.company)
        elif "unsubscribe_url" not in used["html"]:
            raise SettingError(
                "html", template.html[:80], "a whole document must print {{ unsubscribe_url }}"
            )
        if "unsubscribe_url" not in used["text"]:
            text = _layout("email.txt.j2").replace("{{ content }}", text.rstrip())
        self._company = template.company
        self._subject = _environment(html=False).from_string(template.subject)
        self._preheader = _environment(html=True).from_string(template.preheader)
        self._html = _environment(html=True).from_string(template.html)
        # Of a line of tags nothing is left, while a tag at the end of a line leaves the line its end.
        self._text = _environment(html=False).from_string(_LINE_OF_TAGS.sub(r"\1", text))

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """The whole e-mail to one account. Takes and raises what `render_parts` does."""
        subject, text, html = self.render_parts(values)
        if isinstance(html, dict):
            assert self.frame is not None
            html = self.frame.filled({**html, "unsubscribe_url": escape(values["unsubscribe_url"])})
        return Rendered(subject, html, text)

    def render_parts(self, values: Mapping[str, Any]) -> Parts:
        """The e-mail to one account, without the frame.

        Args:
            values: those of `VARIABLES`; `company` may be left out. None cannot be printed: the template has
                to ask first.

        Raises:
            RenderError: the template fails for these values, or its subject is blank or too long.
        """
        # What `Template.render` does, but for making the same dict three times.
        shared = {"company": self._company, **values}
        preheader = ""
        field = "subject"
        try:
            subject = _rendered(self._subject, shared)
            field = "html"
            html = _rendered(self._html, shared)
            field = "text"
            text = _rendered(self._text, shared)
            if self.frame is not None:
                field = "preheader"
                preheader = _rendered(self._preheader, shared)
            field = "unsubscribe_url"
            url = shared["unsubscribe_url"]
        except Exception as error:  # noqa: BLE001 - whatever a template brings about is that account's failure
            # Without the cause, whose words may be personal.
            raise RenderError(field, _impersonal(error, shared)) from None
        # A name with a line break would end the header and begin another one.
        subject = _BLANKS.sub(" ", subject).strip()
        if not subject:
            raise RenderError("subject", "is blank")
        if len(subject) > LONGEST_SUBJECT:
            raise RenderError("subject", f"has {len(subject)} characters, the most are {LONGEST_SUBJECT}")
        for field, part in (("subject", subject), ("preheader", preheader), ("html", html), ("text", text)):
            if not _can_be_stored(part):
                raise RenderError(field, "holds a character that cannot be stored")
        for field, missing in (
            ("html", self.frame is None and str(escape(url)) not in html),
            ("text", url not in text),
        ):
            if missing:
                raise RenderError(field, "must print {{ unsubscribe_url }}, always and as it is")
        return Parts(subject, text, html if self.frame is None else {"preheader": preheader, "content": html})


def save_email_template(connection: psycopg.Connection, settings: EmailTemplateSettings, login: str) -> int:
    """Insert an e-mail template or change the one of that name; returns its id.

    E-mails written before stay as they are. An audit row tells who changed what, in old and new words.

    Raises:
        SettingError: a field is wrong.
    """
    check_email_template(settings)
    check_text("login", login)
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("email_templates/lock_templates"))
        before = _find(connection, settings.name)
        values = asdict(settings)
        cursor.execute(statement("email_templates/save_template"), {**values, "login": login})
        (row,) = cursor.fetchall()
        record_audit(
            connection,
            login,
            "save_email_template",
            {"email_template": settings.name},
            changes(asdict(before) if before else None, values),
        )
    return int(row["id"])


def check_email_template(settings: EmailTemplateSettings) -> None:
    """Refuse an e-mail template that cannot be rendered.

    Raises:
        SettingError: names the first field that is wrong, and what in it.
    """
    for name in ("name", "subject", "html"):
        check_text(name, getattr(settings, name))
    for name in ("name", "subject", "preheader", "company"):
        value = getattr(settings, name)
        if _CONTROL.search(value):
            raise SettingError(name, value, "must be one line, without control characters")
    for name in ("html", "text"):
        if "\0" in getattr(settings, name):
            raise SettingError(name, "\\0", "must not hold the character NUL")
    if len(settings.subject) > LONGEST_SUBJECT:
        raise SettingError("subject", settings.subject, f"must have at most {LONGEST_SUBJECT} characters")
    try:
        Renderer(settings).render(_SAMPLE)
    except RenderError as error:
        raise SettingError(error.field, None, f"fails for an example: {error.problem}") from error


def load_email_template(connection: psycopg.Connection, name: str) -> EmailTemplate:
    """The active e-mail template of a name.

    Raises:
        SettingError: there is none of that name, or it is not active.
    """
    template = _existing(connection, name)
    if not template.active:
        raise SettingError("template", name, "is not active")
    return template


def preview(
    connection: psycopg.Connection,
    template: str | EmailTemplateSettings,
    account_id: int | None,
    business_date: dt.date,
) -> Rendered:
    """The e-mail that an account would get, by a template that need not be active yet. Its link does nothing.

    Args:
        connection: of the task role.
        template: name of a template, or one that is not saved yet.
        account_id: whom it is for; None: an example.
        business_date: the birthday that it greets, or the day of the routine.

    Raises:
        SettingError: there is no such template or account, or the template cannot be used.
        RenderError: the template fails for this account.
    """
    settings = _existing(connection, template) if isinstance(template, str) else template
    if account_id is None:
        return Renderer(settings).render({**_SAMPLE, "unsubscribe_url": _PREVIEW_UNSUBSCRIBE_URL})
    with connection.cursor(row_factory=dict_row) as cursor:
        account = cursor.execute(
            statement("email_templates/get_account"), {"account_id": account_id}
        ).fetchone()
    if account is None:
        raise SettingError("account_id", account_id, "there is no such account")
    return Renderer(settings).render(
        values_of(**account, business_date=business_date, unsubscribe_url=_PREVIEW_UNSUBSCRIBE_URL)
    )


def values_of(
    *, name: str, email: str | None, birth_on: dt.date | None, business_date: dt.date, unsubscribe_url: str
) -> dict[str, Any]:
    """What a template gets of an account: `VARIABLES` but for `company`, which the template has itself."""
    return {
        "name": name,
        "first_name": _first_name(name),
        "email": email,
        "birth_on": birth_on,
        "age": business_date.year - birth_on.year if birth_on else None,
        "business_date": business_date,
        "unsubscribe_url": unsubscribe_url,
    }


class _Context(Context):
    """What a template works with for one account. It counts the steps, so that no template works for long."""

    steps = 0

    def count(self, *values: object) -> None:
        """A turn of a loop, a call, a filter, a value printed; and one more for each 100 characters of it.

        Raises:
            SecurityError: there were too many.
        """
        self.steps += 1
        for value in values:
            self.steps += _size(value) // 100
        if self.steps > _MOST_STEPS:
            raise SecurityError(f"works too long: more than {_MOST_STEPS} steps")


class _Counting(NodeTransformer):
    """Puts filters, which count, around what calls nothing that counts: loops and the operator `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "turns", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return nodes.Filter(node, "string", [], [], None, None, lineno=node.lineno)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja as templates may use it: no globals, nothing that prints a variable without escaping it.

    Nor anything that makes much of little: an operator that is intercepted is not computed while compiling
    either, nor is a filter. And nothing that works for long: steps are counted.
    """

    context_class = _Context
    intercepted_binops = frozenset({"**", "*", "%", "+"})

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            autoescape=html,
            finalize=_printable,
            keep_trailing_newline=True,
        )
        self.globals.clear()
        for name in ("safe", "center", "indent", "batch", "slice", "format"):
            del self.filters[name]
        self.filters["date"] = _date
        self.filters = {name: _bounded(work) for name, work in self.filters.items()} | {"turns": _turns}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Counting().visit(source), *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, unless it makes too much."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        cast("_Context", context).count(left, right)
        if operator == "+":
            too_much = False
        elif operator == "%":
            too_much = not numbers and bool(_WIDE.search(str(left)))
        elif numbers:
            too_much = max(abs(left), abs(right)) > (_MOST_WORK if operator == "*" else 100)
        else:
            sizes = [side if isinstance(side, int) else len(side) for side in (left, right)]
            too_much = sizes[0] * sizes[1] > _MOST_WORK
        if too_much:
            raise SecurityError(f"{operator} makes too much")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A call of a macro or method, unless it asks for a great width or makes too much."""
        values = (*args, *kwargs.values())
        for value in values:
            _refuse_wide(value)
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            values = (owner, *values)
            _refuse_much(values)
        context = cast("_Context", __context)
        context.count(*values)
        made = super().call(__context, __obj, *args, **kwargs)
        context.count(made)
        return made

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse str.format, which pads to any width."""
        if super().wrap_str_format(value) is not None:
            raise SecurityError("format is not for templates; print with {{ }}")
        return None


@cache
def _environment(*, html: bool) -> _Sandbox:
    return _Sandbox(html=html)


@cache
def _layout(name: str) -> str:
    return (LAYOUTS / name).read_text(encoding="utf-8")


def _frame(company: str) -> Frame:
    """The layout for a sender, with marks where e-mails differ."""
    # Nothing of the sender's name may look like a mark.
    name = escape(company).replace("{", Markup("&#123;"))
    marks = {place: mark(place) for place in PLACES}
    layout = _environment(html=True).from_string(_layout("email.html.j2"))
    return Frame(layout.render(company=name, **marks))


def _rendered(template: jinja2.Template, shared: dict[str, Any]) -> str:
    parts, room = [], LONGEST_PART
    for part in template.root_render_func(template.new_context(shared, shared=True)):
        parts.append(part)
        room -= len(part)
        if room < 0:
            raise jinja2.TemplateRuntimeError(f"has more than {LONGEST_PART} characters")
    return "".join(parts)


def _can_be_stored(text: str) -> bool:
    """Whether PostgreSQL takes it: neither NUL nor half a surrogate pair."""
    try:
        text.encode()  # several times faster than looking for them
    except UnicodeEncodeError:
        return False
    return "\0" not in text


@jinja2.pass_context
def _printable(context: _Context, value: Any) -> Any:
    """Refuse to print `None` to a customer."""
    context.count(value)
    if value is None:
        raise jinja2.TemplateRuntimeError("prints a variable that is empty; ask first, as {% if age %}")
    return value


def _refuse_wide(value: Any) -> None:
    if (isinstance(value, int) and abs(value) > _MOST_WORK) or (
        isinstance(value, str) and _WIDE.search(value)
    ):
        raise SecurityError("a width is too great")


def _refuse_much(values: Iterable[Any]) -> None:
    if math.prod(max(_size(value), 1) for value in values) > _MOST_AT_ONCE:
        raise SecurityError("makes too much of texts that are too long")


def _size(value: object) -> int:
    """The characters of a text, or of the texts in a collection, counted as far as the steps go."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int | dt.date):
        return 1
    size, left = 0, [value]
    while left and size <= 100 * _MOST_STEPS:
        one = left.pop()
        if isinstance(one, str | bytes):
            size += len(one)
        elif isinstance(one, Mapping):
            left.extend(one.items())
        elif isinstance(one, Collection) and not isinstance(one, jinja2.Undefined):
            left.extend(one)
        size += 1
    return size


@jinja2.pass_context
def _turns(context: _Context, values: Iterable[Any]) -> Iterator[Any]:
    """What a loop goes through, each turn counted."""
    for value in values:
        context.count()
        yield value


def _bounded(work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that counts its steps, and is refused where it asks for a great width or makes too much."""
    passed = _PassArg.from_obj(work)

    @functools.wraps(work)
    def bounded(context: _Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        others = (*args, *kwargs.values())
        if others:
            for other in others:
                _refuse_wide(other)
            _refuse_much((value, *others))
        match passed:
            case _PassArg.context:
                made = work(context, value, *args, **kwargs)
            case _PassArg.eval_context:
                made = work(context.eval_ctx, value, *args, **kwargs)
            case _PassArg.environment:
                made = work(context.environment, value, *args, **kwargs)
            case _:
                made = work(value, *args, **kwargs)
        if isinstance(made, Iterator):
            made = list(made)
        context.count(value, made)
        return made

    return jinja2.pass_context(bounded)


def _date(value: dt.date, form: str = "%d/%m/%Y") -> str:
    """The filter `date`."""
    _refuse_wide(form)
    return value.strftime(form)


def _impersonal(error: Exception, values: Mapping[str, Any]) -> str:
    """Jinja's words without those of the account; of another error its name: Python quotes values."""
    if not isinstance(error, jinja2.TemplateError):
        return type(error).__name__
    texts = [str(value) for value in values.values()]
    words = {word for text in texts for word in (text, *text.split()) if len(word) > 1}
    message = error.message or type(error).__name__
    if not words:
        return message
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "…", message, flags=re.IGNORECASE)


def _check_source(field: str, source: str) -> set[str]:
    """The variables that a part of a template uses. Raises SettingError for what it must not have."""
    environment = _environment(html=field == "html")
    try:
        tree = environment.parse(source)
        used = meta.find_undeclared_variables(tree)
        environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        line = [*source.splitlines(), ""][error.lineno - 1].strip()
        raise SettingError(field, line, f"line {error.lineno}: {error.message}") from error
    except (RecursionError, SyntaxError):  # by Python, which compiles what Jinja made of it
        raise SettingError(field, source[:80], "is nested too deeply") from None
    for tag, name in _REFUSED_TAGS.items():
        if tree.find(tag):
            raise SettingError(field, f"{{% {name} %}}", "is a tag that templates may not use")
    if any(loop.recursive for loop in tree.find_all(nodes.For)):
        raise SettingError(field, "{% for … recursive %}", "is a tag that templates may not use")
    written = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    for name in sorted(VARIABLES.keys() & (written | {macro.name for macro in tree.find_all(nodes.Macro)})):
        raise SettingError(field, name, "is a variable of the account; templates must not set it")
    for name in sorted(used - VARIABLES.keys()):
        raise SettingError(field, name, f"is not a variable; there are {', '.join(VARIABLES)}")
    return used


def _derived_text(html: str) -> str:
    """The text part of an html part, as a Jinja template too.

    Raises:
        SettingError: there is none, or the text would not have the same Jinja tags in the same order.
    """
    words: list[str] = []
    codes: list[str] = []
    for _, kind, value in _environment(html=True).lex(html):
        if kind == "data":
            words.append(value)
        elif kind.startswith("comment"):
            continue
        elif kind.endswith("_begin") or kind == "raw_end":
            words.append(f"\ue000{len(codes)}\ue001")
            codes.append(value)
        else:
            codes[-1] += value
    converted = inscriptis.get_text("".join(words), ParserConfig(display_links=True)) if words else ""
    kept = [codes[int(number)] for number in _CODE.findall(converted)]
    tags = [code for code in codes if code.startswith("{%")]
    # Of a table the words are put in columns, and away from the tags between its cells.
    if [code for code in kept if code.startswith("{%")] != tags or (
        tags and re.search("<table", html, re.IGNORECASE)
    ):
        raise SettingError("text", "", "cannot be derived from html with Jinja tags in such places; write it")
    lines = (line.rstrip() for line in converted.replace("\xa0", " ").splitlines())
    text = re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip()
    if not text:
        raise SettingError("text", "", "is blank, and the html has no words to derive it from")
    text = _CODE.sub(lambda code: codes[int(code[1])], text)
    # A line of tags prints nothing: of the blank lines around it those before it are enough.
    return re.sub(rf"{_LINE_OF_TAGS.pattern}\n", r"\1\n", text, flags=re.MULTILINE) + "\n"


def _first_name(name: str) -> str:
    """The first word, written with one capital when all of it was in one case."""
    first = name.split()[0] if name.split() else name
    return first.capitalize() if first in (first.upper(), first.lower()) else first


def _existing(connection: psycopg.Connection, name: str) -> EmailTemplate:
    template = _find(connection, name)
    if template is None:
        raise SettingError("template", name, "there is no e-mail template of that name")
    return template


def _find(connection: psycopg.Connection, name: str) -> EmailTemplate | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("email_templates/get_template"), {"name": name}).fetchone()
    return EmailTemplate(**row) if row else None
