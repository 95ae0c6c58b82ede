"""The chain goes on being served: addresses of its pages, and a desk where one clicks a card."""

from __future__ import annotations

import threading
import time

import uvicorn
from rich.console import Console
from rich.table import Table

from provisioning.demo.desk import create_desk
from provisioning.demo.phone import MemberPhone
from provisioning.demo.plan import MEMBER_CARDS
from provisioning.demo.town import Town
from provisioning.processes import free_port

# How long somebody holds a card to a reader.
HOLD_S = 1.5


def serve_on(town: Town, console: Console) -> None:
    """Serve until Ctrl-C; print where everything is."""
    port = free_port()
    members = {
        name: " · ".join((held.member, *filter(None, MEMBER_CARDS[name]))) if held.member else ""
        for name, held in town.cards.items()
    }
    kiosks = {name: terminal.url for name, terminal in town.terminals.items()}
    phones = {
        name: held.card.code
        for name, held in town.cards.items()
        if isinstance(held.card, MemberPhone)
    }
    desk = create_desk(members, kiosks, lambda card, terminal: tap(town, card, terminal), phones)
    server = uvicorn.Server(
        uvicorn.Config(desk, port=port, log_level="warning", lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, name="card desk", daemon=True)
    thread.start()
    addresses = Table(title="Served until Ctrl-C", show_header=False)
    for name, terminal in town.terminals.items():
        addresses.add_row(f"kiosk of {name}", terminal.url)
    addresses.add_row("console", f"{town.cloud_url}/console")
    addresses.add_row("its token", town.token)
    addresses.add_row("card desk", f"http://127.0.0.1:{port}/")
    console.print(addresses)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        console.print("closing")
    finally:
        server.should_exit = True
        thread.join()


def tap(town: Town, card: str, terminal: str) -> None:
    """Hold a card to a terminal's reader for a moment."""
    held, chosen = town.cards[card], town.terminals[terminal]
    with chosen.lock, held.lock:
        chosen.device.insert(held.card)
        time.sleep(HOLD_S)
        chosen.device.remove()
