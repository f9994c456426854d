"""MailHook: sends one e-mail through the Airflow connection `smtp_default`, once."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from rotina.errors import MaybeSentError, NotSentError, SettingError
from rotina.messaging.adapters import SmtpEndpoint

#: Answers by which the server says that it did not take the message.
_REFUSALS = (
    smtplib.SMTPSenderRefused,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPDataError,
    smtplib.SMTPHeloError,
    smtplib.SMTPNotSupportedError,
)


class MailHook(SmtpHook):
    """An SmtpHook that knows what was surely not sent from what may have been; it never sends twice."""

    def endpoint(self) -> SmtpEndpoint:
        """Where the smtp adapter of the message queue hands its mail over; opens no connection.

        The connection's fields mean what they mean to SmtpHook; where it leaves both kinds of TLS on, it is
        TLS from the first byte.

        Raises:
            SettingError: the Airflow connection is missing, or a field of it is wrong.
        """
        try:
            self.smtp_connection = self.get_connection(self.smtp_conn_id)
        except AirflowNotFoundException:
            raise SettingError("connection", self.smtp_conn_id, "not defined, or not readable") from None
        if not self.host:
            raise SettingError(self._field("host"), None, "is blank; give the mail server's address")
        if not self.from_email:
            raise SettingError(self._field("extra from_email"), None, "is missing")
        if self.auth_type != "basic":
            raise SettingError(self._field("extra auth_type"), self.auth_type, "must be basic")
        if self.ssl_context not in (None, "default", "none"):
            raise SettingError(self._field("extra ssl_context"), self.ssl_context, "must be default or none")
        try:
            timeout = float(self.timeout)
        except (TypeError, ValueError):
            timeout = 0.0
        if timeout <= 0:
            value = self.conn.extra_dejson.get("timeout")
            raise SettingError(self._field("extra timeout"), value, "must be a number of seconds above 0")
        login = bool(self.smtp_user and self.smtp_password)
        return SmtpEndpoint(
            host=self.host,
            port=self.port,
            login=self.smtp_user if login else None,
            password=self.smtp_password if login else None,
            use_tls=self.use_ssl,
            start_tls=self.smtp_starttls and not self.use_ssl,
            sender=self.from_email,
            connect_timeout=timeout,
            verify_certificate=self.ssl_context != "none",
        )

    def send(self, message: EmailMessage) -> dict[str, str]:
        """Send a message to its recipients; returns the refused ones with the server's answer.

        A message without a sender gets the `from_email` of the connection.

        Raises:
            SettingError: the connection names no sender.
            NotSentError: the server could not be reached or refused the message; trying again is safe.
            MaybeSentError: the connection broke after the message was handed over.
        """
        try:
            self.get_conn()
        except (AirflowException, OSError, smtplib.SMTPException, RuntimeError) as error:
            raise NotSentError(f"mail server {self.smtp_conn_id}: {error}") from error
        if "From" not in message:
            if not self.from_email:
                raise SettingError(self._field("extra from_email"), None, "is missing")
            message["From"] = self.from_email
        client = self._smtp_client
        assert isinstance(client, smtplib.SMTP)
        try:
            refused = client.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            answers = ", ".join(f"{who}: {_answer(answer)}" for who, answer in error.recipients.items())
            raise NotSentError(f"mail server refused every recipient: {answers}") from error
        except _REFUSALS as error:
            raise NotSentError(f"mail server refused the message: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise MaybeSentError(f"connection to the mail server broke while sending: {error}") from error
        finally:
            client.close()
            self._smtp_client = None
        return {who: _answer(answer) for who, answer in refused.items()}

    def _field(self, name: str) -> str:
        return f"connection {self.smtp_conn_id}, {name}"


def _answer(answer: tuple[int, bytes]) -> str:
    code, text = answer
    return f"{code} {text.decode('utf-8', 'replace')}"
