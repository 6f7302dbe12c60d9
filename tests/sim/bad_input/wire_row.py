"""What a row of the tables below a body says: of CoAP, OSCORE, COSE, streams and signatures."""

from dataclasses import dataclass, field


@dataclass
class Row:
    """One kind of bad input to a device (CoapHouse) or to the EMD (EmdHouse).

    what: the sentence; do(house): brings it in; answer: what goes back on the wire, in words (CoapHouse.word);
    log: each event of the wire that it caused, with its count, and no other; cost: octets that went back, entries of
    tables that are held now, decryptions, derivations of keys, operations on flash (Counted.cost); load: what the
    contact does afterwards, [(seconds, "opens" or "closes")]; note: what else is true; said: what the device says of it
    in SPOT's own messages (House.said). still: the receiver's memory is the same after it; complete: nothing is lost.
    house: the house's arguments; after(house): puts right what do() left, when the row has been looked at.
    """

    what: str
    do: object
    answer: tuple = ()
    log: dict = field(default_factory=dict)
    cost: str = ""
    note: str = ""
    load: tuple = ()
    said: tuple = ()
    still: bool = True
    complete: bool = True
    house: dict = field(default_factory=dict)
    after: object = None


RUNS = ((0, "opens"), (600, "closes"))  # what a command of ten minutes does
