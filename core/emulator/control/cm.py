"""Control of CM: its content, row by row or whole, and its tokens."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from telecine.core.emulator.cm.content import CmContent, Table
from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.control import messages
from telecine.core.emulator.control.http import json_response, read_body, read_number
from telecine.core.errors import NotFoundError


class CmControl:
    """Changes a CM from outside."""

    def __init__(self, cm: Cm) -> None:
        self._cm = cm

    def routes(self) -> list[web.RouteDef]:
        """What the HTTP application has to route here."""
        return [
            web.get("/cm/content", self._get_content),
            web.put("/cm/content", self._replace_content),
            web.post("/cm/tokens/expire", self._expire_tokens),
            web.post("/cm/{table}", self._add_row),
            web.patch("/cm/{table}/{id}", self._edit_row),
            web.delete("/cm/{table}/{id}", self._delete_row),
        ]

    async def _get_content(self, request: web.Request) -> web.Response:
        return json_response(self._cm.catalogue.content())

    async def _replace_content(self, request: web.Request) -> web.Response:
        content = await read_body(request, CmContent)
        self._cm.catalogue.replace(content)
        return json_response(messages.Amount(count=len(content.titles)))

    async def _expire_tokens(self, request: web.Request) -> web.Response:
        expire = await read_body(request, messages.ExpireTokens)
        if expire.access:
            self._cm.auth.expire_access_tokens()
        if expire.refresh:
            self._cm.auth.revoke_refresh_tokens()
        self._cm.save()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _add_row(self, request: web.Request) -> web.Response:
        fields = await read_body(request, messages.Row)
        return json_response(self._cm.catalogue.add(_table(request), fields), HTTPStatus.CREATED)

    async def _edit_row(self, request: web.Request) -> web.Response:
        fields = await read_body(request, messages.Row)
        return json_response(self._cm.catalogue.edit(_table(request), read_number(request, "id"), fields))

    async def _delete_row(self, request: web.Request) -> web.Response:
        self._cm.catalogue.delete(_table(request), read_number(request, "id"))
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _table(request: web.Request) -> Table:
    name = request.match_info["table"]
    try:
        return Table(name)
    except ValueError:
        raise NotFoundError(f"CM has no {name!r}; it has {', '.join(Table)}", field="table") from None
