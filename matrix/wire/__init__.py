"""The wire: a relay between examples and servers that records what passes, and what can be concluded from it.

A run can do without this package (`--direct`): it then has no evidence, and the same outcomes.

Bytes travel through the modules in this order:

- `relay`: what the harness uses. `Relay` starts the relay as one process for a whole run; `open` gives a cell
  an address of its own to connect to, and `close` gives back what went over it, a `Connection` for each.
- `control`: what is sent between the harness and that process.
- `forward`: that process. It passes bytes, half-closes and resets from one socket to the other, and decodes
  after it has forwarded.
- `recorder`: keeps the events of one connection, within bounds.
- `mysql`, `postgresql`: the two protocols, on `decoder`, which holds what they share; `tls`: what can be
  seen of TLS; `texts`: what is kept of texts; `framer`: cuts bytes into messages. None of these does I/O.

What was recorded is then read by these:

- `processes`: what each process was doing when, from its steps.
- `attribution`: which process sent what.
- `evidence`: `timeline` joins steps, wire and server into one `Evidence`.
- `describe`: one short phrase for an event.

- `fuzz`: throws mutations of real conversations at the decoders.
"""

from matrix.wire.describe import describe

__all__ = ["describe"]
