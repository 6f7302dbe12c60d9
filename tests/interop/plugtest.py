"""The cases of the OSCORE plug tests, 0 to 17, as a table: what is asked, and what must come back.

After the interoperation test specification for OSCORE (EricssonResearch/OSCOAP, test-spec5) in the numbering of
aiocoap's plug test programs. Client and server share one secret; A and B are the two ends of it, C and D those with an
ID context.
"""

from typing import NamedTuple

SECRET = bytes(range(1, 17))
SALT = bytes.fromhex("9e7ca92223786340")
CLIENT, SERVER = b"", b"\x01"  # sender ids
ID_CONTEXT = bytes.fromhex("37cbf3210017a2d3")

GET, POST, PUT, DELETE = 1, 2, 3, 4
CREATED, DELETED, CHANGED, CONTENT = 0x41, 0x42, 0x44, 0x45
BAD_REQUEST, UNAUTHORIZED, BAD_OPTION, PRECONDITION_FAILED = 0x80, 0x81, 0x82, 0x8C
INTERNAL_ERROR = 0xA0

IF_MATCH, ETAG, IF_NONE_MATCH, OBSERVE, CONTENT_FORMAT, MAX_AGE, URI_QUERY, ACCEPT = 1, 4, 5, 6, 12, 14, 15, 17

HELLO = b"Hello World!"
TEXT = {CONTENT_FORMAT: b""}  # 0, text/plain


class Case(NamedTuple):
    """A request under `context` ("" for none), its `options` by number, and the answer's code, options and payload.

    `fault` is what the client has wrong: its sender "id", its sender "key", its "recipient" key, a "replay"ed sequence
    number. `protected`: whether the answer that the client takes is protected.
    """

    number: int
    what: str
    context: str
    method: int
    path: str
    code: int
    options: dict = {}
    payload: bytes = b""
    answer_options: dict = {}
    answer: bytes = b""
    fault: str = ""
    protected: bool = True


CASES = [
    Case(0, "a resource that needs no protection is served without", "", GET, "oscore/hello/coap", CONTENT,
         answer_options=TEXT, answer=HELLO, protected=False),
    Case(1, "GET is protected, and so is its answer", "AB", GET, "oscore/hello/1", CONTENT,
         answer_options=TEXT, answer=HELLO),
    Case(2, "the same with an ID context", "CD", GET, "oscore/hello/1", CONTENT, answer_options=TEXT, answer=HELLO),
    Case(3, "a query goes there and an ETag comes back, both inside", "AB", GET, "oscore/hello/2", CONTENT,
         options={URI_QUERY: b"first=1"}, answer_options={ETAG: b"\x2b", **TEXT}, answer=HELLO),
    Case(4, "Accept goes there and Max-Age comes back, both inside", "AB", GET, "oscore/hello/3", CONTENT,
         options={ACCEPT: b""}, answer_options={**TEXT, MAX_AGE: b"\x05"}, answer=HELLO),
    Case(5, "Observe on what cannot be observed is answered once, without Observe", "AB", GET, "oscore/hello/1",
         CONTENT, options={OBSERVE: b""}, answer_options=TEXT, answer=HELLO),
    Case(6, "an observation gets its notifications until the server ends it with an error", "AB", GET,
         "oscore/observe1", CONTENT, options={OBSERVE: b""}, answer=b"one"),
    Case(7, "an observation gets its notifications until the client cancels it", "AB", GET, "oscore/observe2", CONTENT,
         options={OBSERVE: b""}, answer=b"one"),
    Case(8, "POST carries a payload both ways", "AB", POST, "oscore/hello/6", CHANGED, options=TEXT, payload=b"\x4a",
         answer_options=TEXT, answer=b"\x4a"),
    Case(9, "PUT with the If-Match that holds changes", "AB", PUT, "oscore/hello/7", CHANGED,
         options={IF_MATCH: b"\x7b", **TEXT}, payload=b"\x7a"),
    Case(10, "PUT with If-None-Match on what exists changes nothing", "AB", PUT, "oscore/hello/7", PRECONDITION_FAILED,
         options={IF_NONE_MATCH: b"", **TEXT}, payload=b"\x8a"),
    Case(11, "DELETE deletes", "AB", DELETE, "oscore/test", DELETED),
    Case(12, "a key id that the server does not know is 4.01, unprotected", "AB", GET, "oscore/hello/1", UNAUTHORIZED,
         fault="id", protected=False),
    Case(13, "a request under a wrong key is 4.00, unprotected", "AB", GET, "oscore/hello/1", BAD_REQUEST, fault="key",
         protected=False),
    Case(14, "an answer under a wrong key is no answer", "AB", GET, "oscore/hello/1", 0, fault="recipient"),
    Case(15, "a sequence number that was used is 4.01, unprotected", "AB", GET, "oscore/hello/1", UNAUTHORIZED,
         fault="replay", protected=False),
    Case(16, "a server without OSCORE refuses the critical option", "AB", GET, "oscore/hello/coap", BAD_OPTION,
         protected=False),
    Case(17, "a protected resource is not served without protection", "", GET, "oscore/hello/1", UNAUTHORIZED,
         protected=False),
]
