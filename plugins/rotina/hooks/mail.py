"""MailHook: sends one e-mail through the Airflow connection `smtp_default`, once."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk.exceptions import AirflowException

from rotina.errors import MaybeSentError, NotSentError, SettingError

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
                raise SettingError(f"connection {self.smtp_conn_id}, extra from_email", None, "is missing")
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


def _answer(answer: tuple[int, bytes]) -> str:
    code, text = answer
    return f"{code} {text.decode('utf-8', 'replace')}"
