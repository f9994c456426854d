"""Opens the adapter of a gateway."""

from __future__ import annotations

from rotina.errors import SettingError
from rotina.messaging.adapters import Adapter, HttpEndpoint, SmtpEndpoint
from rotina.messaging.gateways import Gateway


def open_adapter(gateway: Gateway, endpoint: HttpEndpoint | SmtpEndpoint) -> Adapter:
    """The adapter for a gateway's kind. To be called inside the event loop that uses it; close it at the end.

    Raises:
        SettingError: wrong settings of the gateway, or an endpoint of another kind.
    """
    # Each kind brings a client library that the others do not need.
    match gateway.kind, endpoint:
        case "opa_suite", HttpEndpoint():
            from rotina.messaging.adapters.opa_suite import OpaSuiteAdapter

            return OpaSuiteAdapter(gateway, endpoint)
        case "http_json", HttpEndpoint():
            from rotina.messaging.adapters.http_json import HttpJsonAdapter

            return HttpJsonAdapter(gateway, endpoint)
        case "smtp", SmtpEndpoint():
            from rotina.messaging.adapters.smtp import SmtpAdapter

            return SmtpAdapter(gateway, endpoint)
    raise SettingError(
        "connection_id", gateway.connection_id, f"is not a connection for a gateway of kind {gateway.kind}"
    )
