"""What may become of a call to a gateway. Every adapter maps what it hears to these classes.

The table of classes, with examples, is in docs/message-queue.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Class of what became of an attempt."""

    #: The gateway took it.
    ACCEPTED = "accepted"
    #: Not sent, and no other message would be now: refused connection, 429, 503 with Retry-After. Slows the
    #: gateway; the message goes back to its place and spends no attempt.
    TRANSIENT = "transient"
    #: Not sent, because of something passing with this recipient only. Spends an attempt; tried again later.
    DEFERRED = "deferred"
    #: Nobody knows: no reply, or a server error. Never sent again without a person or proof.
    MAYBE_SENT = "maybe_sent"
    #: This recipient or these variables will never do.
    REJECTED = "rejected"
    #: The recipient wants no messages: failed, and the address is suppressed.
    OPTED_OUT = "opted_out"
    #: The mail server says that there is no such address (a hard bounce): failed, and suppressed too.
    NO_SUCH_ADDRESS = "no_such_address"
    #: Our settings are wrong (credentials, template): pauses the gateway, spends no attempt.
    CONFIGURATION = "configuration"
    #: The recipient is being attended: held, and tried again within its expiry.
    IN_ATTENDANCE = "in_attendance"
    #: No call was made: the receivable was paid meanwhile.
    SETTLED = "settled"
    #: No call was made: the ERP does not show the receivable at the moment. Held, and looked at again.
    RECEIVABLE_MISSING = "receivable_missing"
    #: No call was made: the recipient opted out after the message was written.
    SUPPRESSED = "suppressed"
    #: No call was made: the dispatcher had to stop first. Goes back to its place, spends no attempt.
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt. The texts hold no secret and no personal data of the recipient."""

    outcome: Outcome
    gateway_message_id: str | None = None
    """The gateway's own key of the message, when it gave one."""
    code: int | None = None
    """HTTP or SMTP status; None when there was no reply."""
    error: str | None = None
    """What the gateway said, or what went wrong; None when accepted."""
    retry_after: float | None = None
    """Seconds that the gateway asks to wait."""
