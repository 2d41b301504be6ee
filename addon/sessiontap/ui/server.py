"""The web server of the pages: a tornado application on 127.0.0.1 or a Unix socket.

It only reads, but for the pages' actions."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

from sessiontap.trace import NotInTrace, TraceError
from sessiontap.ui import guard, live
from sessiontap.ui.errors import BadBody, InFlight, NotFound, PageError
from sessiontap.ui.guard import Access, Refused
from sessiontap.ui.openapi import openapi
from sessiontap.ui.page import Action, Page, read_form, read_json, read_parameters, without_empty
from sessiontap.ui.reading import stored_body
from sessiontap.ui.rendering import LiveNews, here, link
from sessiontap.ui.site import PageAnswer, Site

HOST = "127.0.0.1"
ALIVE_EVERY = 15.0
"""Seconds after which a page hears something if nothing happens."""
LIVE_CACHE = 1 << 20
"""Bytes of the index's file that is kept in memory for an open page that is told what happens."""
MOST_BODY = 1 << 20
"""Bytes that a request may bring."""
_PLACE = re.compile(r"\\\{(\w+)\\\}")
_BACK = re.compile(r"/(?![/\\])[!-~]*")
"""A path of this site."""


def application(site: Site) -> tornado.web.Application:
    """The routes: each page and its twin, the static files, and a page for all else."""
    routes: list[Any] = [
        (r"/live", LiveHandler, {"site": site}),
        (r"/api/openapi\.json", DescriptionHandler, {"site": site}),
        (r"/calls/(?P<call>.+?)/(?P<side>request|response)\.bin", BodyHandler, {"site": site}),
        *((route(page), PageHandler, {"site": site, "page": page}) for page in site.pages),
    ]
    routes.append((r"/static/([^/]+)", StaticHandler, {"site": site}))
    return tornado.web.Application(
        routes, default_handler_class=NoPageHandler, default_handler_args={"site": site}, log_function=_log_nothing
    )


def route(page: Page) -> str:
    """The regular expression of a page's path and its twin's. `/calls/@1/3` may be written as it is."""

    def place(name: re.Match[str]) -> str:
        return f"(?P<{name[1]}>{'.+?' if name[1] == 'call' else '[^/]+?'})"

    path = _PLACE.sub(place, re.escape(page.path))
    return path + r"(?P<_twin>\.json)?" if page.template else path


class SiteHandler(tornado.web.RequestHandler):
    """A request: it is checked first, and every error of it is a page, or JSON for who asked for that."""

    site: Site
    methods: tuple[str, ...] = guard.METHODS

    def initialize(self, site: Site) -> None:
        self.site = site

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in guard.HEADERS.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        guard.check_origin(self.request.method or "", self.request.headers, self.methods)
        if self.site.access is not None:
            self._let_in(self.site.access)

    def _let_in(self, access: Access) -> None:
        cookie = self.get_cookie(access.cookie_name)
        token = self.get_query_argument(guard.TOKEN, None)
        if token is not None:
            opened = access.cookie_for(token, cookie)
            if opened is None:
                raise Refused(
                    "this address has been used", "Each address works once. Start `sessiontap ui` again for a new one."
                )
            self.set_cookie(access.cookie_name, opened, httponly=True, samesite="Strict", path="/")
            left = [(k, v) for k, values in self._query().items() if k != guard.TOKEN for v in values]
            self.redirect(tornado.httputil.url_concat(self.request.path, left), status=303)
        elif not access.is_open(cookie):
            raise Refused(
                "this browser has not been let in",
                "Open the address that `sessiontap ui` printed; if it was started again, the new one.",
            )

    def _query(self) -> dict[str, list[str]]:
        return {name: self.get_query_arguments(name, strip=False) for name in self.request.query_arguments}

    @property
    def wants_json(self) -> bool:
        """Return True if an error is to be told in JSON."""
        sent = self.request.headers.get("Content-Type", "")
        if self.request.method == "POST" and sent.lower().startswith(guard.FORM):
            return False
        return self.request.path.endswith(".json") or self.request.path.startswith("/api/")

    def write_json(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        message, hint = "something went wrong here", "The terminal of `sessiontap ui` says more."
        if isinstance(error, PageError):
            status_code, message, hint = error.status, error.message, error.hint
        elif isinstance(error, TraceError):
            status_code, message, hint = (404 if isinstance(error, NotInTrace) else 503), str(error), error.hint
        elif isinstance(error, tornado.web.HTTPError):
            message, hint = error.log_message or self._reason, "Check the address."
        self.set_status(status_code)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.methods))
        if self.wants_json:
            self.write_json({"error": message, "hint": hint})
        else:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            news = LiveNews(error.session, error.position) if isinstance(error, InFlight) else None
            self.write(self.site.renderer.draw_error(status_code, message, hint, news))
        self.finish()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, PageError | TraceError | tornado.web.HTTPError):
            super().log_exception(typ, value, tb)


class PageHandler(SiteHandler):
    """A page, or its twin."""

    page: Page

    def initialize(self, site: Site, page: Page) -> None:  # type: ignore[override]
        super().initialize(site)
        self.page = page
        self.methods = guard.WRITING if page.action is not None else guard.METHODS

    async def get(self, _twin: str | None = None, **places: str) -> None:
        given = self._query()
        in_json = bool(_twin) or not self.page.template
        if not in_json and (left := without_empty(self.page, given)) != given:
            self.redirect(self.request.path + here(left), status=303)
            return
        answer = await self.site.answer(self.page, read_parameters(self.page, places, given))
        if in_json:
            self.write_json(answer.twin if self.page.template else answer.data)
        else:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.write(self._drawn(answer, given))

    head = get

    def _drawn(self, answer: PageAnswer, given: Mapping[str, list[str]]) -> bytes:
        back = self.request.uri or "/"
        html = self.site.renderer.draw(self.page, answer.data, given, answer.read_share, back, answer.position)
        return html.encode("utf-8", "backslashreplace")

    async def post(self, _twin: str | None = None, **places: str) -> None:
        action = self.page.action
        assert action is not None  # `methods` has no POST without one
        if guard.check_write(self.request.headers) == "json":
            body = read_json(action, self.request.body)
            self.write_json(await self.site.ask(lambda reading: action.act(reading, places, body, "api")))
        else:
            await self._post_form(action, places)

    async def _post_form(self, action: Action, places: Mapping[str, str]) -> None:
        fields = read_form(self.request.body)
        if not hmac.compare_digest(fields.get(guard.TOKEN, "").encode(), self.site.form_token.encode()):
            raise Refused(
                "the form is of a page that was opened before `sessiontap ui` was started anew",
                "Load that page again; then send the form.",
            )
        if action.of_form is None:
            raise BadBody("this takes no form", "Send JSON.")
        body = action.of_form(fields)
        await self.site.ask(lambda reading: action.act(reading, places, body, "page"))
        back = fields.get("back", "")
        own = link(*(part.format(**places) for part in action.page_of.strip("/").split("/")))
        self.redirect(back if _BACK.fullmatch(back) else own, status=303)


class BodyHandler(SiteHandler):
    """The body of a call as it was recorded, to be saved: whatever it holds, no browser shows it as a page of ours."""

    async def get(self, call: str, side: str) -> None:
        body, name = await self.site.ask(lambda reading: stored_body(reading, call, side))
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{name}-{side}.bin"')
        self.write(body)

    head = get


class LiveHandler(SiteHandler):
    """Server-sent events, until the page is closed."""

    async def get(self) -> None:
        if self.site.watched >= live.MOST:
            raise Refused(
                "too many pages are open", "Close some: they are told what happens as long as they are open.", 503
            )
        self._is_gone = asyncio.Event()
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.site.watched += 1
        try:
            await self._tell()
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            self.site.watched -= 1

    def on_connection_close(self) -> None:
        self._is_gone.set()

    async def _tell(self) -> None:
        site = self.site
        position = self.request.headers.get("Last-Event-ID") or self.get_query_argument("after", None)
        reading = await site.on_thread(lambda: site.open(LIVE_CACHE))
        told = live.Live(reading.trace, position, self.get_query_argument("session", None))
        reads = told.session is not None and self.get_query_argument("read", None) is not None
        with contextlib.closing(reading.trace):
            await self._tell_of(told, reads)

    async def _tell_of(self, told: live.Live, reads: bool) -> None:
        site, now = self.site, asyncio.get_running_loop().time
        await self._send(await site.on_thread(told.start))
        asked = said = now()
        while not self._is_gone.is_set():
            texts = [await site.on_thread(told.ended)]
            if reads:
                texts.append(text := await site.on_thread(told.read))
                reads = text is not None
            if now() - asked >= live.ASK_EVERY:
                texts.append(told.in_flight(await site.ask(lambda reading: live.calls_in_flight(reading.trace))))
                asked = now()
            if now() - said >= ALIVE_EVERY:
                texts.append(":\n\n")
            for text in filter(None, texts):
                await self._send(text)
                said = now()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_gone.wait(), 0 if reads else live.LOOK_EVERY)

    async def _send(self, text: str) -> None:
        self.write(text)
        await self.flush()


class DescriptionHandler(SiteHandler):
    """The description of all answers in JSON."""

    def get(self) -> None:
        self.write_json(openapi(self.site.pages))

    head = get


class StaticHandler(SiteHandler):
    """A static file. It is nobody's secret, and an error's page needs it."""

    def _let_in(self, access: Access) -> None:
        pass

    def get(self, name: str) -> None:
        file = self.site.static.get(name)
        if file is None:
            raise NotFound(f"there is no file {name}", "The page itself is at /.")
        self.set_header("Content-Type", file.type)
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("ETag", f'"{file.digest}"')
        if self.check_etag_header():
            self.set_status(304)
        else:
            self.write(file.content)

    head = get


class NoPageHandler(SiteHandler):
    """Any other path."""

    def get(self, *args: str, **kwargs: str) -> None:
        raise NotFound(f"there is no page {self.request.path}", "The list of sessions is at /.")

    head = get


def _log_nothing(handler: tornado.web.RequestHandler) -> None:
    pass


def bind(port: int) -> list[socket.socket]:
    """Listen at this port of this machine, 0 for any. Raises OSError if it is taken."""
    return tornado.netutil.bind_sockets(port, HOST)


async def serve(site: Site, sockets: Iterable[socket.socket]) -> None:
    """Answer until this is cancelled."""
    server = tornado.httpserver.HTTPServer(application(site), max_header_size=65536, max_body_size=MOST_BODY)
    server.add_sockets(sockets)
    try:
        await asyncio.Event().wait()
    finally:
        asyncio.get_running_loop().set_exception_handler(_at_the_end)
        server.stop()
        site.close()


def _at_the_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong. Requests that the end cuts off, such as those of pages that are told what happens, did not:
    Tornado would print a traceback of each."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)
