"""Web pages that come in place of a film."""

from __future__ import annotations

_BEGINNINGS = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<?xml")


def is_page(beginning: bytes) -> bool:
    """Whether a body with this beginning is a page, or the XML that a store of objects tells its errors in."""
    return beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_BEGINNINGS)
