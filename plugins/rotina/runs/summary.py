"""The summary of a run: an e-mail in Portuguese, HTML and text, to the person who asked for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, localtime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
import psycopg
from psycopg.rows import namedtuple_row

from rotina.errors import MaybeSentError, NotSentError, SettingError
from rotina.runs.record import Run
from rotina.sql import statement

LAYOUTS = Path(__file__).parents[3] / "include" / "layouts"

#: How many skipped and failed records the e-mail names; all of them stand in crm.run_item.
MOST_ITEMS = 20

ROUTINE_TITLES = {
    "account_data_refresh": "Dados complementares das contas",
    "account_status_update": "Situação das contas",
    "birthday_emails": "E-mails de aniversário",
    "billing_messages": "Mensagens de cobrança",
    "inactivity_monitor": "Monitor de inatividade",
    "class_transition": "Transição de classes",
    "delivery_monitor": "Monitor de entregas",
    "daily_file_batch": "Lote diário de arquivos",
    "message_archive": "Arquivo de mensagens",
    "queue_dispatch": "Envio da fila de mensagens",
    "signature_links": "Links de assinatura digital",
}
STATUS_TITLES = {"succeeded": "concluída", "failed": "falhou", "skipped": "não executada"}
RUN_TYPE_TITLES = {
    "manual": "manual",
    "scheduled": "agenda automática",
    "backfill": "reprocessamento",
    "asset_triggered": "encadeada",
}
OUTCOME_TITLES = {"failed": "falha", "skipped": "ignorado"}
REASON_TITLES = {
    "alert_maybe_sent": "não se sabe se o e-mail de alerta chegou; ele não é enviado de novo",
    "invalid_invoice": "nota fiscal sem valor, com valor negativo ou sem data",
    "invoice_without_customer": "nota fiscal sem cliente",
    "known_problem": "problema já conhecido, ainda não corrigido no ERP",
    "newer_data": "os dados da conta já são de uma data posterior",
    "not_linked": "conta sem cliente no ERP",
    "customer_missing": "o cliente não existe no ERP",
    "deferred": "falha passageira com este destinatário, tentativas esgotadas",
    "dunning_exception": "cliente com exceção na régua de cobrança",
    "class_dry_run": "simulação: mudaria de classe",
    "dry_run": "simulação: receberia a mensagem",
    "expired": "o prazo de envio acabou antes do envio",
    "gateway_paused": "gateway pausado até que alguém o corrija e retome",
    "gateway_unusable": "gateway inexistente, inativo ou com configuração inválida",
    "in_attendance": "destinatário em atendimento; a mensagem espera",
    "inactive_gateway": "o gateway foi desativado",
    "interrupted": "envio interrompido; não se sabe se foi enviada",
    "invalid_email": "e-mail inválido",
    "invalid_order_number": "pedido sem número, ou com número de mais de 50 caracteres",
    "invalid_order_value": "pedido com um valor que não cabe no arquivo",
    "invalid_phone": "telefone inválido; o formato é +5511999990000",
    "invalid_value": "título sem valor, ou com valor zero, negativo ou grande demais",
    "later_step": "outro passo da régua, mais adiante, cai no mesmo dia",
    "maybe_sent": "o gateway não confirmou; não se sabe se foi enviada",
    "missing_variable": "falta um dado que o modelo da mensagem usa",
    "no_email": "cliente sem e-mail",
    "no_phone": "cliente sem telefone",
    "no_such_address": "o endereço de e-mail não existe",
    "owner_left": "sem movimento; o responsável saiu e ninguém recebeu a conta",
    "order_without_customer": "pedido sem cliente",
    "opted_out": "o destinatário não quer receber mensagens",
    "past_due": "lembrete de antes do vencimento que cairia depois dele",
    "payload_too_long": "mensagem maior que o limite do gateway",
    "receivable_missing": "o título não existe mais no ERP",
    "render_failed": "o modelo de e-mail falhou com os dados desta conta",
    "rejected": "recusada pelo gateway",
    "same_address": "outra conta com o mesmo e-mail já é cumprimentada nesse dia",
    "status_dry_run": "simulação: mudaria de situação",
    "settled": "o título já foi pago ou cancelado",
    "suppressed": "o endereço do destinatário está bloqueado",
    "template_unusable": "modelo de mensagem inexistente, inativo ou não aprovado",
    "too_late": "o prazo de envio já passou",
    "written_not_sent": "a mensagem foi gravada antes, mas não foi enviada",
    "user_left": "o usuário do perfil saiu e não foi avisado",
    "would_be_found": "simulação: seria apontada como sem movimento",
    "wrong_variables": "número de variáveis diferente do modelo",
}
RECORD_TITLES = {
    "account": "conta",
    "alert": "alerta",
    "customer": "cliente",
    "gateway": "gateway",
    "invoice": "nota fiscal",
    "message": "mensagem",
    "order": "pedido",
    "receivable": "título",
    "signature_request": "pedido de assinatura",
    "user": "usuário",
}
DETAIL_TITLES = {
    "mode": "Seleção",
    "audience": "Público",
    "rules": "Regras ativas",
    "template": "Modelo de e-mail",
    "note": "Observação",
    "problems": "Problemas encontrados",
    "recovered": "Resolvidos",
    "ended_before": "Encerradas antes de",
    "attempts": "Tentativas arquivadas",
    "delivery_events": "Eventos de entrega apagados",
    "source": "Fonte",
    "sequence": "Número do lote",
    "replaces": "Corrige o lote",
    "rows": "Linhas por arquivo",
    "changed_values": "Valores cortados ou limpos, por coluna",
    "delivered": "Lotes entregues",
    "months_inactive": "Meses inativo",
    "to_active": "Passaram a ativas",
    "to_inactive": "Passaram a inativas",
    "to_not_integrated": "Passaram a não integradas",
    "profile": "Perfil",
    "transferred": "Contas transferidas",
    "owner_left": "Contas sem movimento de responsável que saiu",
    "digests": "E-mails de aviso",
    "would_be_active": "Passariam a ativas",
    "would_be_inactive": "Passariam a inativas",
    "would_be_not_integrated": "Passariam a não integradas",
}


@dataclass(frozen=True)
class Recipient:
    """Somebody who receives a summary; a name is known of users only."""

    email: str
    name: str | None = None

    def __str__(self) -> str:
        return formataddr((self.name, self.email)) if self.name else self.email


def recipients_of(connection: psycopg.Connection, run: Run) -> list[Recipient]:
    """The asker if the table of users knows the login; else the routine's recipients, else those of all."""
    rows = connection.execute(
        statement("runs/list_recipients"), {"asked_by": run.asked_by, "routine": run.routine}
    )
    return [Recipient(email, name) for name, email in rows]


def compose_summary(
    connection: psycopg.Connection, run: Run, recipients: list[Recipient], zone: ZoneInfo, run_url: str
) -> EmailMessage:
    """The summary e-mail of a closed run, without a sender; its Message-ID is always the same."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        reasons = cursor.execute(statement("runs/count_reasons"), {"run_id": run.id}).fetchall()
        items = cursor.execute(
            statement("runs/list_items"), {"run_id": run.id, "most": MOST_ITEMS}
        ).fetchall()
    title = ROUTINE_TITLES.get(run.routine, run.routine)
    context = {
        "run": run,
        "title": title,
        "status": STATUS_TITLES[run.status],
        "run_type": RUN_TYPE_TITLES.get(run.run_type, run.run_type),
        "business_date": f"{run.business_date:%d/%m/%Y}" if run.business_date else "não informada",
        "started_at": run.started_at.astimezone(zone),
        "ended_at": (run.ended_at or run.started_at).astimezone(zone),
        "reasons": reasons,
        "items": items,
        "unnamed": run.skipped + run.failed - len(items),
        "run_url": run_url,
        "reason_titles": REASON_TITLES,
        "record_titles": RECORD_TITLES,
        "outcome_titles": OUTCOME_TITLES,
        "details": {  # the alert stands above all
            DETAIL_TITLES.get(key, key): value for key, value in run.details.items() if key != "alert"
        },
    }
    message = EmailMessage()
    mark = "" if run.status == "succeeded" else f" — {STATUS_TITLES[run.status].upper()}"
    message["Subject"] = f"[Rotina] {title} de {context['business_date']}{mark}"
    # As one text: of a list the e-mail library does not refuse line breaks.
    message["To"] = ", ".join(map(str, recipients))
    message["Date"] = localtime(dt.datetime.now(zone))  # when the mail is written; not a business_date
    message["Message-ID"] = f"<run-{run.id}@rotina.local>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(load_layout("run_summary.txt.j2").render(context))
    message.add_alternative(load_layout("run_summary.html.j2").render(context), subtype="html")
    return message


def send_summary(
    connection: psycopg.Connection,
    run: Run,
    zone: ZoneInfo,
    run_url: str,
    send: Callable[[EmailMessage], dict[str, str]],
) -> str:
    """Send the summary of a closed run and return what came of it, as stored in `crm.run.summary_status`.

    A summary that was sent, or may have been, is not sent again: its status is returned as it stands.

    Raises:
        NotSentError: the mail server did not take it, or refused some of the recipients.
        SettingError: the mail connection or an address is wrong.
        MaybeSentError: it may have been sent, now or by a task that was killed while sending.
    """
    if run.summary_status in ("sent", "unknown"):
        return run.summary_status
    recipients = recipients_of(connection, run)
    if not recipients:
        return _finish(connection, run, "no_recipient", "nobody is set to receive it")
    addresses = [recipient.email for recipient in recipients]
    try:
        message = compose_summary(connection, run, recipients, zone, run_url)
    except (ValueError, IndexError) as error:  # what the e-mail library says of an address that is none
        wrong = SettingError(
            "recipients of the summary", ", ".join(addresses), f"cannot be written to: {error}"
        )
        _finish(connection, run, "failed", str(wrong))
        raise wrong from error
    claim = {"run_id": run.id, "recipients": addresses}
    if not connection.execute(statement("runs/claim_summary"), claim).rowcount:
        interrupted = MaybeSentError("another task is sending it, or was interrupted while it did")
        _finish(connection, run, "unknown", str(interrupted))
        raise interrupted
    try:
        refused = send(message)
    except (NotSentError, SettingError) as error:
        _finish(connection, run, "failed", str(error))
        raise
    except MaybeSentError as error:
        _finish(connection, run, "unknown", str(error))
        raise
    if refused:
        answers = ", ".join(f"{who}: {answer}" for who, answer in refused.items())
        _finish(connection, run, "sent", f"refused for {answers}")
        raise MaybeSentError(f"sent, but refused for {answers}")
    return _finish(connection, run, "sent", None)


def _finish(connection: psycopg.Connection, run: Run, status: str, error: str | None) -> str:
    connection.execute(statement("runs/finish_summary"), {"run_id": run.id, "status": status, "error": error})
    return status


def load_layout(name: str) -> jinja2.Template:
    """The layout of an e-mail to users: include/layouts/`name`; the filter `number` writes 1234 as 1.234.

    Raises:
        jinja2.TemplateNotFound: there is no such layout.
        jinja2.TemplateSyntaxError: it is no Jinja.
    """
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(LAYOUTS),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", ".")
    return environment
