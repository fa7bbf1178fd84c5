"""What the bot says. HTML where it is a message; alerts are plain and at most 200 characters."""

from __future__ import annotations

from telecine.core.leases import VariantState

WELCOME = (
    "<b>Welcome.</b> Send me the name of a film or a series, or a part of it, and choose from what I find.\n\n"
    "/browse lists everything."
)
HELP = (
    "Send me a few words of a title, in any order, accents or not. Choose a title, for a series a season and an "
    "episode, then a quality, and the video arrives here.\n\n"
    "/browse lists everything.\n"
    "A code such as <code>CM_M000321_1080P</code> brings its video at once.\n\n"
    "▶ ready · ⏳ on its way · ✖ not available"
)
COMMANDS = {"start": "What this is", "browse": "All titles", "help": "How to search"}

NOT_A_NAME = "I look for titles by the letters and digits of their names. Please send me a few words."
UNKNOWN_COMMAND = "I do not know this command. Send me the name of a title, or see /help."
NOTHING_FOUND = "Nothing found. Fewer words, or only the beginning of one, may help."
EMPTY_CATALOGUE = "There is nothing here yet. Please come back later."
NOTHING_MORE = "Nothing more here."
UNKNOWN_CODE = "I do not know this code. It may be of a title that is no longer listed."

STALE = "This button is out of date. Please search again."
SENDING = "Sending…"
QUEUED_AGAIN = "I could not send all of this one. It is being fetched again; please try later."
BUSY = "Too many messages at the moment. Please try again in {seconds} seconds."
AWAY = "Telegram does not answer as it should. Please try again in a moment."
FAILED = "Something went wrong on our side. Please try again later."

_UNAVAILABLE = {
    VariantState.READY: "This one waits to be fetched. Please come back in a while.",
    VariantState.LEASED: "This one is being uploaded right now. Please try again in a few minutes.",
    VariantState.DELAYED: "The sources of this one did not answer; they are tried again later.",
    VariantState.DEAD: "None of the sources of this one works. Please choose another quality.",
    VariantState.QUARANTINED: "This one cannot be uploaded as it is. Please choose another quality.",
    VariantState.CANCELLED: "This one is not offered.",
    VariantState.WITHDRAWN: "This one is no longer offered.",
    VariantState.DONE: "This one cannot be sent at the moment.",
}


def unavailable(state: VariantState) -> str:
    """Why a target cannot be sent, kindly."""
    return _UNAVAILABLE[state]
