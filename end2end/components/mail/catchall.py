"""A mail server that takes everything and shows it, for tests.

SMTP on three ports of 127.0.0.1: STARTTLS with a password, TLS from the start, and plain. What came in is read and
cleared over HTTP: GET /messages[?to=ADDRESS], DELETE /messages.
A receiver at reject.example is refused for good (550), one at greylist.example the first time only (451).
Arguments: the folder with cert.pem and key.pem, the password, and the ports STARTTLS TLS PLAIN HTTP.
"""

import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, password = sys.argv[1], sys.argv[2]
starttls, tls, plain, web = (int(p) for p in sys.argv[3:7])
mails, seen, lock = [], set(), threading.Lock()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        domain = address.rsplit("@", 1)[-1]
        if domain == "reject.example":
            return "550 5.1.1 no such user here"
        if domain == "greylist.example" and address not in seen:
            seen.add(address)
            return "451 4.7.1 greylisted, come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain",))
        with lock:
            mails.append(
                {
                    "at": time.time(),
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "subject": mail["subject"],
                    "headers": dict(mail.items()),
                    "text": body.get_content() if body else None,
                    "tls": session.ssl is not None,
                    "authenticated": bool(session.authenticated),
                }
            )
        return "250 2.0.0 accepted"


def authenticate(server, session, envelope, mechanism, data):
    # Not handled: the server itself says 535.
    return AuthResult(success=(data.login.decode(), data.password.decode()) == ("holdfast", password), handled=False)


class Web(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        to = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("to")
        with lock:
            found = [m for m in mails if not to or to[0] in m["to"]]
        self.reply(found)

    def do_DELETE(self):
        with lock:
            mails.clear()
        self.reply({})


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
common = {"hostname": "127.0.0.1", "enable_SMTPUTF8": True}
Controller(Handler(), port=starttls, tls_context=context, authenticator=authenticate, auth_required=True, auth_require_tls=True, **common).start()
Controller(Handler(), port=tls, ssl_context=context, **common).start()
Controller(Handler(), port=plain, **common).start()
http.server.ThreadingHTTPServer(("127.0.0.1", web), Web).serve_forever()
