"""`python -m rotina.messaging.email_layout`: compiles the layout of e-mails, which is written in MJML.

MJML knows what mail programs need (tables for Outlook, inline styles for Gmail); it is compiled when the
layout changes, not when an e-mail is written.
"""

from __future__ import annotations

from mjml import mjml2html

from rotina.runs.summary import LAYOUTS

SOURCE = LAYOUTS / "email.mjml"
COMPILED = LAYOUTS / "email.html.j2"


def compiled() -> str:
    """What the compiled layout should be.

    Raises:
        OSError: the source is not MJML.
    """
    return mjml2html(SOURCE.read_text(encoding="utf-8")) + "\n"


if __name__ == "__main__":
    COMPILED.write_text(compiled(), encoding="utf-8")
