"""Login with a token, logout, and what a person prefers: language and theme."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.console.shell import (
    LANGUAGE_COOKIE,
    LOGIN_PATH,
    THEME_COOKIE,
    THEMES,
    Shell,
    inside,
)
from cloud.console.texts import Language
from cloud.http.errors import NotAuthenticated, TooManyAttempts, status_of
from cloud.http.guard import check_same_origin
from cloud.http.identity import CONSOLE_PATH, SESSION_COOKIE, SESSION_MS

log = structlog.get_logger()
# A person sets the language once.
_PREFERENCE_S = 365 * 86_400

_Next = Annotated[str, Form(alias="next", max_length=2000)]


def router(shell: Shell) -> APIRouter:
    """The routes of login, logout and preferences."""
    pages = APIRouter(prefix=CONSOLE_PATH, include_in_schema=False)
    _sessions(pages, shell)
    _preferences(pages)
    return pages


def _sessions(pages: APIRouter, shell: Shell) -> None:
    sessions = shell.backend.guard.sessions

    @pages.get("/login")
    def form(
        request: Request, back: Annotated[str, Query(alias="next", max_length=2000)] = CONSOLE_PATH
    ) -> Response:
        return shell.page(request, "console/login.html", {"back": inside(back), "error": None})

    @pages.post("/login")
    def log_in(
        request: Request,
        token: Annotated[str, Form(max_length=200)] = "",
        back: _Next = CONSOLE_PATH,
    ) -> Response:
        check_same_origin(request)
        address = request.client.host if request.client else ""
        try:
            cookie = sessions.log_in(token, address)
        except (NotAuthenticated, TooManyAttempts) as error:
            log.warning("login_refused", address=address, code=error.code)
            facts = {"back": inside(back), "error": error}
            return shell.page(request, "console/login.html", facts, status_of(error))
        response = RedirectResponse(inside(back), HTTPStatus.SEE_OTHER)
        _set(response, request, SESSION_COOKIE, cookie, SESSION_MS // 1000)
        return response

    @pages.post("/logout")
    def log_out(request: Request) -> Response:
        check_same_origin(request)
        sessions.log_out(request.cookies.get(SESSION_COOKIE, ""))
        response = RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE, path=CONSOLE_PATH, httponly=True, samesite="strict")
        return response


def _preferences(pages: APIRouter) -> None:
    @pages.post("/preferences")
    def prefer(
        request: Request,
        language: Annotated[Language | None, Form()] = None,
        theme: Annotated[str | None, Form(pattern=f"^({'|'.join(THEMES)})$")] = None,
        back: _Next = CONSOLE_PATH,
    ) -> Response:
        check_same_origin(request)
        response = RedirectResponse(inside(back), HTTPStatus.SEE_OTHER)
        if language is not None:
            _set(response, request, LANGUAGE_COOKIE, language.value, _PREFERENCE_S)
        if theme is not None:
            _set(response, request, THEME_COOKIE, theme, _PREFERENCE_S)
        return response


def _set(response: Response, request: Request, name: str, value: str, age_s: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age_s,
        path=CONSOLE_PATH,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
