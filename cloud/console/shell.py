"""Renders the console's pages: language, theme, navigation, who is looking, and errors for people.

What a page says comes from its capability: templates beside its code, and a Place that leads there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from pydantic import BeforeValidator

from cloud.console import display
from cloud.console.texts import Catalogue, Language, language_of
from cloud.console.words import WORDS
from cloud.http.backend import Backend
from cloud.http.errors import status_of
from cloud.http.identity import CONSOLE_PATH, SESSION_COOKIE, Caller, Permission
from protocol.errors import ProductError

LANGUAGE_COOKIE = "tapledger_language"
THEME_COOKIE = "tapledger_theme"
THEMES = ("auto", "light", "dark")
STATIC = Path(__file__).parent / "static"
STATIC_PATH = f"{CONSOLE_PATH}/static"
LOGIN_PATH = f"{CONSOLE_PATH}/login"
_CLOUD = Path(__file__).parents[1]
_WHOLE = re.compile(r"[0-9]{1,15}")  # below 2^53, the largest that a database and JSON keep


@dataclass(frozen=True)
class Place:
    """A page that the navigation leads to; ``icon`` is a symbol in icons.svg."""

    key: str
    label: str
    path: str
    icon: str
    permission: Permission


class Shell:
    """Renders templates for a request. ``currency`` is the tenant's."""

    def __init__(
        self, backend: Backend, places: Sequence[Place], tenant: str, currency: str
    ) -> None:
        self.backend = backend
        self._places = places
        self._tenant = tenant
        self._currency = currency
        self._versions: dict[str, str] = {}
        self._environments = {language: self._environment(language) for language in Language}

    def enter(self, request: Request, permission: Permission) -> Caller:
        """Who looks at the page; NotAuthenticated, NotAllowed or CrossSite when nobody may."""
        caller = self.backend.guard.page(request, permission)
        request.state.caller = caller
        return caller

    def page(
        self,
        request: Request,
        template: str,
        facts: Mapping[str, Any],
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        """Render ``template`` with ``facts`` for the one who looks."""
        language = language_of(
            request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")
        )
        theme = request.cookies.get(THEME_COOKIE, "")
        caller: Caller | None = getattr(request.state, "caller", None)
        context = {
            "lang": language.value,
            "theme": theme if theme in THEMES else THEMES[0],
            "themes": THEMES,
            "caller": caller,
            "may": _may(caller),
            "places": [each for each in self._places if caller and caller.may(each.permission)],
            "tenant": self._tenant,
            "currency": self._currency,
            "now_ms": self.backend.clock_ms(),
            "here": _here(request),
            "path": request.url.path,
        }
        text = self._environments[language].get_template(template).render(context | dict(facts))
        headers = {"Content-Language": language.value, "Vary": "Cookie, Accept-Language"}
        return HTMLResponse(text, status, headers)

    def error_page(self, request: Request, error: ProductError) -> Response:
        """An error for a person: a login when nobody is logged in, else the page that says it.

        A browser that follows another site's link keeps a strict cookie back; asked again by a
        page of ours it sends it, so that a link in a mail leads where it should.
        """
        if error.code == "not_authenticated":
            if "hx-request" in request.headers:
                return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
            if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
                return self.page(request, "console/again.html", {})
            back = f"?next={quote(_here(request), safe='')}" if request.method == "GET" else ""
            return RedirectResponse(f"{LOGIN_PATH}{back}", HTTPStatus.SEE_OTHER)
        if not hasattr(request.state, "caller"):
            held = request.cookies.get(SESSION_COOKIE, "")
            request.state.caller = self.backend.guard.sessions.caller(held)
        return self.page(request, "console/error.html", {"error": error}, status_of(error))

    def _environment(self, language: Language) -> Environment:
        folders = {folder.parent.name: folder for folder in _CLOUD.glob("*/templates")}
        environment = Environment(
            loader=PrefixLoader({name: FileSystemLoader(at) for name, at in folders.items()}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        catalogue = Catalogue(language)
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            catalogue.gettext, catalogue.ngettext, newstyle=True
        )

        def word(code: str) -> str:
            return catalogue.gettext(WORDS.get(code, code))

        def ago(wall_ms: int, now_ms: int) -> str:
            if not wall_ms:
                return "–"
            return display.age(max(now_ms - wall_ms, 0) // 1000, catalogue.gettext)

        environment.filters.update(
            money=display.money,
            change=display.change,
            number=display.number,
            moment=display.moment,
            fingerprint=display.fingerprint,
            word=word,
            ago=ago,
        )
        environment.globals.update(static=self._static, POINTS=display.POINTS_UNIT)
        return environment

    def _static(self, name: str) -> str:
        """Address of a static file; it changes with the content, so that it may be kept."""
        if name not in self._versions:
            self._versions[name] = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
        return f"{STATIC_PATH}/{name}?v={self._versions[name]}"


def _may(caller: Caller | None) -> dict[str, bool]:
    return {each.value: bool(caller and caller.may(each)) for each in Permission}


def _here(request: Request) -> str:
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def _whole(text: str) -> int:
    return int(text) if _WHOLE.fullmatch(text) else 0


# A number in a page's address. What is none becomes 0, which nothing has: a person who mistyped
# an address is told that there is no such thing, not which field is of which type.
Whole = Annotated[int, BeforeValidator(_whole)]


def inside(path: str) -> str:
    """``path`` when it leads to a page of the console, else the console's first page."""
    parts = urlsplit(path)
    ours = parts.path == CONSOLE_PATH or parts.path.startswith(f"{CONSOLE_PATH}/")
    return path if ours and not parts.scheme and not parts.netloc else CONSOLE_PATH
