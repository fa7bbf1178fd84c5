"""What the machine of the queue begins with: accounts, workers, and films to upload."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.store.conftest import film, link
from tests.store.queue_model import Model
from tests.store.queue_things import Account, Channel, Host, Link, Target, Worker

if TYPE_CHECKING:
    from tests.clocks import HandClock

    from telecine.core.catalogue import ImportedTitle
    from telecine.core.policy import QueuePolicy

ACCOUNTS = {"ember-1": "ember", "ember-2": "ember", "rora": "rora"}  # two workers speak for one account
FILMS = ("aab", "bc", "c", "ca", "ab")  # the hosts of their links, in retry order


def listed(target: Target) -> ImportedTitle:
    """A film as the content API lists it."""
    return film(str(target.id), *(link(f"l{one.id}", url=one.url) for one in target.links))


def stocked_model(clock: HandClock, policy: QueuePolicy) -> Model:
    """What the machine begins with: workers that have said hello, one open channel an account, films to upload."""
    model = Model(clock, policy)
    model.hosts = [Host(f"{letter}.example") for letter in "abc"]
    model.accounts = [Account(account) for account in sorted(set(ACCOUNTS.values()))]
    model.workers = {worker: Worker(worker, model.account(account), "boot-1") for worker, account in ACCOUNTS.items()}
    model.channels = [Channel(n, account, 500 + n) for n, account in enumerate(model.accounts, start=1)]
    for letters in FILMS:
        numbers = itertools.count(1 + sum(len(target.links) for target in model.targets))
        links = [Link(next(numbers), model.host(f"{one}.example"), n) for n, one in enumerate(letters, start=1)]
        number = len(model.targets) + 1
        model.targets.append(Target(number, f"CM_M{number:06d}_720P", links, links[0].host))
    return model
