"""The wire: a relay between examples and servers that records what passes, and decoders that say what it was.

Bytes travel through the modules in this order:

- `relay`: what the harness uses. `Relay` starts the relay as one process for a whole run; `open` gives a cell
  an address of its own to connect to, and `close` gives back what went over it, a `Connection` for each.
- `forward`: that process. It passes bytes, half-closes and resets from one socket to the other, and decodes
  after it has forwarded.
- `recorder`: keeps the events of one connection, within bounds.
- `mysql`, `postgresql`: the two protocols, on `decoder`, which holds what they share; `tls`: what can be
  seen of TLS; `framer`: cuts bytes into messages. None of these does I/O.
- `event`: messages, and what of their texts is kept.
- `describe`: one short phrase for an event.
- `fuzz`: throws mutations of real conversations at the decoders.
"""

from matrix.wire.describe import describe

__all__ = ["describe"]
