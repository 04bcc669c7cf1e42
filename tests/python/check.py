"""A client that was made from the .proto files alone, as a province's own programmers would make it.

It generates its code at run time, compares it with what the node reflects, creates, reads, lists, pages, changes and deletes,
repeats a request id, provokes every refusal that a client can provoke, and follows the ledger.

    QIANSHOU_NODE=https://127.0.0.1:PORT QIANSHOU_TOKEN=qst_… QIANSHOU_CA=ca.pem QIANSHOU_PEER_CARD=card.json python check.py

The card is that of a node that does not answer. Prints one JSON object; exits 1 at the first thing that is not as promised.
"""

import json
import os
import queue
import sys
import tempfile
import threading
import uuid
from pathlib import Path

import grpc
import grpc_tools
from google.protobuf import descriptor_pool, json_format
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = Path(os.environ.get("QIANSHOU_PROTO", Path(__file__).resolve().parents[2] / "proto"))
PATIENCE_S = 60
UPLOADS_MAX = 4  # limits.methods, BatchPut*: concurrency_max_per_caller
COUNTY, OTHER_COUNTY, TOWNSHIP = "640104", "640202", "640104100"
UNKNOWN = "00000000-0000-7000-8000-000000000000"


def generate():
    """Makes the client's code from the contract, in a folder that goes with the process."""
    folder = tempfile.mkdtemp(prefix="qianshou-python.")
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("qianshou/**/*.proto"))
    include = [f"-I{PROTO}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    if protoc.main(["protoc", *include, f"--python_out={folder}", f"--grpc_python_out={folder}", *files]) != 0:
        sys.exit("the contract cannot be compiled for Python")
    sys.path.insert(0, folder)


generate()

from google.protobuf.field_mask_pb2 import FieldMask  # noqa: E402
from qianshou.common.v1 import resources_pb2 as common  # noqa: E402
from qianshou.exchange.v1 import resources_pb2 as exchange, service_pb2 as exchange_api  # noqa: E402
from qianshou.exchange.v1 import service_pb2_grpc as exchange_rpc  # noqa: E402
from qianshou.identity.v1 import resources_pb2 as identity, service_pb2 as identity_api  # noqa: E402
from qianshou.identity.v1 import service_pb2_grpc as identity_rpc  # noqa: E402
from qianshou.ledger.v1 import service_pb2 as ledger_api, service_pb2_grpc as ledger_rpc  # noqa: E402
from qianshou.registry.v1 import resources_pb2 as registry, service_pb2 as registry_api  # noqa: E402
from qianshou.registry.v1 import service_pb2_grpc as registry_rpc  # noqa: E402
from qianshou.reporting.v1 import service_pb2 as reporting_api, service_pb2_grpc as reporting_rpc  # noqa: E402

# What no client of the people's listener can bring about, and why.
NOT_PROVOKED = {
    "UNSPECIFIED": "a server never answers it",
    "CONTRACT_LEVEL": "needs a database that a later program has upgraded",
    "NEEDS_SECOND_ADMINISTRATOR": "needs a node where four eyes are on",
    "INTERNAL": "needs a fault of the node",
    "SIGNATURE_INVALID": "only peers hand in signatures, on the peers' listener",
}


class Node:
    """The node's services, as one caller sees them."""

    def __init__(self, address, ca, token):
        tls = grpc.ssl_channel_credentials(root_certificates=ca)
        credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token)) if token else tls
        retry = [("grpc.service_config", (PROTO / "service_config.json").read_text())]
        self.channel = grpc.secure_channel(address.removeprefix("https://"), credentials, retry)
        self.registry = registry_rpc.RegistryServiceStub(self.channel)
        self.reporting = reporting_rpc.ReportingServiceStub(self.channel)
        self.exchange = exchange_rpc.ExchangeAdminServiceStub(self.channel)
        self.identity = identity_rpc.IdentityServiceStub(self.channel)
        self.ledger = ledger_rpc.LedgerServiceStub(self.channel)

    def head(self):
        return self.ledger.GetHead(ledger_api.GetHeadRequest()).position


# ---- records that a register takes -----------------------------------------------------------------------------------


def uscc(n):
    digits, body = "0123456789ABCDEFGHJKLMNPQRTUWXY", f"5264000{n:010}"
    total = sum(digits.index(c) * pow(3, i, 31) for i, c in enumerate(body))
    return body + digits[(31 - total % 31) % 31]


def citizen(n):
    body = f"6401041960{1 + n // 27000:02}{1 + n // 1000 % 27:02}{n % 1000:03}"
    return body + "10X98765432"[sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body)) % 11]


def agency(n, **fields):
    sound = {"display_name": f"示例机构{n}", "uscc": uscc(n), "division": COUNTY, "founded_on": "2018-03-01"}
    return registry.Agency(**{**sound, **fields})


def station(n, **fields):
    sound = {"display_name": f"示例社工站{n}", "type": registry.STATION_TYPE_TOWNSHIP_STATION, "division": TOWNSHIP}
    return registry.Station(**{**sound, **fields})


def worker(n, **fields):
    return registry.Worker(**{**{"full_name": f"欧阳{n}", "id_number": citizen(n), "division": COUNTY}, **fields})


def create(node, record, request_id=None, **more):
    return node.registry.CreateAgency(registry_api.CreateAgencyRequest(agency=record, request_id=request_id, **more))


def update(node, record, *paths):
    return node.registry.UpdateAgency(
        registry_api.UpdateAgencyRequest(agency=record, update_mask=FieldMask(paths=paths))
    )


# ---- what must hold ---------------------------------------------------------------------------------------------------

checks = 0
provoked = set()


def must(holds, what):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"python: {what}")


def refused(reason, code, field, call):
    """The call is refused for this reason because of this field, so that a clerk and a program would understand."""
    what = f"{reason} ({field})"
    try:
        call()
    except grpc.RpcError as error:
        told = error
    else:
        return must(False, f"{what} was not refused")
    must(told.code() == code, f"{what}: {told.code()} {told.details()}")
    status = rpc_status.from_call(told)
    must(status is not None and status.code == code.value[0], f"{what}: no google.rpc.Status")
    info, request, texts = details(status)
    must((info.reason, info.domain) == (f"ERROR_REASON_{reason}", "qianshou"), f"{what}: {info}")
    must(field in [violation.field for violation in request.field_violations], f"{what}: {request}")
    must(set(texts) == {"zh-CN", "en"} and all(texts.values()), f"{what}: {texts}")
    must(any("一" <= c <= "鿿" for c in texts["zh-CN"]), f"{what}: not Chinese: {texts}")
    must(any(c.isascii() and c.isalpha() for c in texts["en"]), f"{what}: not English: {texts}")
    must(texts["zh-CN"] in told.details() and texts["en"] in told.details(), f"{what}: {told.details()}")
    provoked.add(reason)


def details(status):
    info, request, texts = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), {}
    for detail in status.details:
        text = error_details_pb2.LocalizedMessage()
        if detail.Unpack(text):
            texts[text.locale] = text.message
        detail.Unpack(info)
        detail.Unpack(request)
    return info, request, texts


def reflected(node):
    """The node reflects exactly the services that the files say, method by method."""
    database = ProtoReflectionDescriptorDatabase(node.channel)
    pool = descriptor_pool.DescriptorPool(database)
    services = set(database.get_services())
    ours = [api.DESCRIPTOR.services_by_name for api in (registry_api, reporting_api, identity_api, ledger_api)]
    ours = [service for names in ours for service in names.values()]
    ours.append(exchange_api.DESCRIPTOR.services_by_name["ExchangeAdminService"])
    for service in ours:
        must(service.full_name in services, f"{service.full_name} is not among {services}")
        theirs = pool.FindServiceByName(service.full_name)
        methods = {method.name: method.input_type.full_name for method in theirs.methods}
        must(methods == {m.name: m.input_type.full_name for m in service.methods}, f"{service.full_name} differs")


def verbs(node):
    """Create, get, list page by page, change, delete."""
    names = [create(node, agency(n)).agency.name for n in range(7)]
    first = node.registry.GetAgency(registry_api.GetAgencyRequest(name=names[0])).agency
    must((first.uscc, first.etag, first.HasField("closed_on")) == (uscc(0), "1.1", False), f"get: {first}")
    pages, token = [], ""
    while not pages or token:
        asked = registry_api.ListAgenciesRequest(page_size=3, page_token=token, area=COUNTY, order_by="title desc")
        page = node.registry.ListAgencies(asked)
        pages.append([record.name for record in page.agencies])
        token = page.next_page_token
    must([len(page) for page in pages] == [3, 3, 1], f"pages of {pages}")
    must(sorted(sum(pages, [])) == sorted(names), "a list is everything, once")
    changed = update(node, registry.Agency(name=names[0], etag="1.1", display_name="改名"), "display_name")
    must((changed.agency.display_name, changed.agency.etag) == ("改名", "1.2"), f"update: {changed}")
    deleted = node.registry.DeleteAgency(registry_api.DeleteAgencyRequest(name=names[6]))
    must(deleted.position == changed.position + 1, f"delete: {deleted}")
    read = registry_api.GetAgencyRequest(name=names[0], min_position=changed.position)
    must(node.registry.GetAgency(read).agency.display_name == "改名", "a write is read")
    outcomes = node.registry.BatchPutAgencies(
        iter([registry_api.BatchPutAgenciesRequest(agencies=[agency(20), agency(21, division="649999"), agency(1)])])
    ).outcomes
    states = [common.PUT_STATE_CREATED, common.PUT_STATE_REFUSED, common.PUT_STATE_UNCHANGED]
    must([outcome.state for outcome in outcomes] == states, f"batch: {outcomes}")
    return names


def repeated(node):
    """A request id makes a repeat harmless; another body under it is refused."""
    request_id, head = str(uuid.uuid4()), node.head()
    answers = [create(node, agency(30), request_id) for _ in range(3)]
    must(len({(a.agency.name, a.agency.etag, a.position) for a in answers}) == 1, f"repeats: {answers}")
    must(node.head() == head + 1, "a repeat writes nothing")
    refused("REQUEST_ID_REUSED", grpc.StatusCode.FAILED_PRECONDITION, "request_id",
            lambda: create(node, agency(31), request_id))
    must(node.head() == head + 1, "a refusal writes nothing")


def followed(node):
    """The feed brings our own writes, in order, without a gap; and the same again from any position."""
    start = node.head()
    asked = ledger_api.ReadEntriesRequest(after_position=start, follow=True, history=True, kinds=["agencies"])
    call, seen = node.ledger.ReadEntries(asked), queue.Queue()

    def hear():
        try:
            for answer in call:
                for entry in answer.entries:
                    seen.put(entry)
        except grpc.RpcError:
            pass

    threading.Thread(target=hear, daemon=True).start()
    written = []
    for n in range(40, 50):
        made = create(node, agency(n))
        written.append((made.position, made.agency.name, "put"))
        changed = update(node, registry.Agency(name=made.agency.name, display_name=f"改名{n}"), "display_name")
        written.append((changed.position, made.agency.name, "put"))
    gone = node.registry.DeleteAgency(registry_api.DeleteAgencyRequest(name=written[-1][1]))
    written.append((gone.position, written[-1][1], "end"))
    entries = [seen.get(timeout=PATIENCE_S) for _ in written]
    call.cancel()
    must([(e.position, e.name, e.WhichOneof("content")) for e in entries] == written, "the feed is what was written")
    must([e.position for e in entries] == list(range(start + 1, start + 1 + len(written))), "no gap")
    must((entries[1].version.epoch, entries[1].version.revision, entries[1].home) == (1, 2, "64"), f"{entries[1]}")
    payload = registry.Agency.FromString(entries[1].put)
    must((payload.display_name, payload.uscc) == ("改名40", uscc(40)), f"a payload is the record: {payload}")
    again = [entry for answer in node.ledger.ReadEntries(ledger_api.ReadEntriesRequest(
        after_position=entries[9].position, history=True, kinds=["agencies"])) for entry in answer.entries]
    must([e.digest for e in again] == [e.digest for e in entries[10:]], "resumed from a position")


# ---- every refusal ----------------------------------------------------------------------------------------------------


def refusals_of_records(node, taken):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    wrong_check = uscc(60)[:-1] + ("1" if uscc(60)[-1] != "1" else "2")
    for reason, field, record in [
        ("REQUIRED", "uscc", registry.Agency(display_name="无代码", division=COUNTY)),
        ("MALFORMED", "founded_on", agency(60, founded_on="2023-02-30")),
        ("CHECK_DIGIT", "uscc", agency(60, uscc=wrong_check)),
        ("NOT_IN_LIST", "division", agency(60, division="649999")),
        ("IN_FUTURE", "founded_on", agency(60, founded_on="2999-01-01")),
        ("OUT_OF_ORDER", "closed_on", agency(60, closed_on="2018-02-28")),
        ("TOO_LONG", "display_name", agency(60, display_name="长" * 4001)),
        ("TOO_MANY", "fields", agency(60, fields=[str(n) for n in range(51)])),
        ("CONTROL_CHARACTER", "display_name", agency(60, display_name="两\n行")),
    ]:
        refused(reason, invalid, field, lambda: create(node, record))
        refused(reason, invalid, field, lambda: create(node, record, validate_only=True))
    known = registry.Agency(name=taken, display_name="新名")
    refused("READ_ONLY", invalid, "etag", lambda: update(node, known, "etag"))
    refused("UNKNOWN_FIELD", invalid, "update_mask", lambda: update(node, known, "colour"))
    refused("DUPLICATE", grpc.StatusCode.ALREADY_EXISTS, "uscc", lambda: create(node, agency(1)))
    refused("STALE_VERSION", grpc.StatusCode.ABORTED, "etag",
            lambda: update(node, registry.Agency(name=taken, etag="1.99", display_name="新名"), "display_name"))
    nowhere = registry_api.GetAgencyRequest(name=f"nodes/64/agencies/{UNKNOWN}")
    refused("NOT_FOUND", grpc.StatusCode.NOT_FOUND, "name", lambda: node.registry.GetAgency(nowhere))
    stray = worker(1, employer=f"nodes/64/agencies/{UNKNOWN}")
    refused("REFERENCE_NOT_FOUND", grpc.StatusCode.FAILED_PRECONDITION, "employer",
            lambda: node.registry.CreateWorker(registry_api.CreateWorkerRequest(worker=stray)))
    node.registry.CreateStation(registry_api.CreateStationRequest(station=station(1, operator=taken)))
    refused("STILL_REFERENCED", grpc.StatusCode.FAILED_PRECONDITION, "name",
            lambda: node.registry.DeleteAgency(registry_api.DeleteAgencyRequest(name=taken)))
    division = registry.Division(code="640104399", display_name="新镇")
    refused("NOT_HOME", grpc.StatusCode.FAILED_PRECONDITION, "name",
            lambda: node.registry.CreateDivision(registry_api.CreateDivisionRequest(division=division)))
    later = registry_api.GetAgencyRequest(name=taken, min_position=node.head() + 1_000_000)
    refused("NOT_YET", grpc.StatusCode.UNAVAILABLE, "min_position", lambda: node.registry.GetAgency(later))
    refused("BAD_PAGE_TOKEN", invalid, "page_token",
            lambda: node.registry.ListAgencies(registry_api.ListAgenciesRequest(page_token="???")))
    refused("REQUIRED", invalid, "indicators", lambda: node.reporting.ReadTable(reporting_api.ReadTableRequest(area="64")))
    unknown = reporting_api.ReadTableRequest(area="64", indicators=["colour"])
    refused("NOT_IN_LIST", invalid, "indicators", lambda: node.reporting.ReadTable(unknown))
    kinds = ledger_api.ReadEntriesRequest(kinds=["colours"])
    refused("NOT_IN_LIST", invalid, "kinds", lambda: next(node.ledger.ReadEntries(kinds)))


def refused_when_busy(node):
    """One upload more than the node takes of one caller at once is told so; those that it has taken end well."""
    over = threading.Event()

    def held(n):
        yield registry_api.BatchPutAgenciesRequest(agencies=[agency(70 + n)])
        over.wait(PATIENCE_S)

    ended = queue.Queue()
    calls = [node.registry.BatchPutAgencies.future(held(n)) for n in range(UPLOADS_MAX + 1)]
    for call in calls:
        call.add_done_callback(ended.put)
    surplus = ended.get(timeout=PATIENCE_S)
    refused("BUSY", grpc.StatusCode.RESOURCE_EXHAUSTED, "", surplus.result)
    over.set()
    states = [outcome.state for call in calls if call is not surplus for outcome in call.result(PATIENCE_S).outcomes]
    must(states == [common.PUT_STATE_CREATED] * UPLOADS_MAX, f"uploads: {states}")


def refusals_of_callers(connect, node):
    denied = grpc.StatusCode.PERMISSION_DENIED
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    for nobody in (connect(None), connect("qst_nobody")):
        refused("UNAUTHENTICATED", unauthenticated, "", lambda: create(nobody, agency(61)))

    def caller(role, area):
        asked = identity_api.CreateTokenRequest(display_name="python", role=role, area=area)
        made = node.identity.CreateToken(asked)
        return made.token.id, connect(made.secret)

    _, reader = caller(identity.ROLE_READER, "64")
    refused("FORBIDDEN", denied, "", lambda: create(reader, agency(61)))
    refused("FORBIDDEN", denied, "", lambda: reader.identity.ListTokens(identity_api.ListTokensRequest()))
    refused("FORBIDDEN", denied, "", lambda: reader.exchange.RemovePeer(exchange_api.RemovePeerRequest(node="00")))
    editor_id, editor = caller(identity.ROLE_EDITOR, "6401")
    refused("AREA_FORBIDDEN", denied, "division", lambda: create(editor, agency(61, division=OTHER_COUNTY)))
    create(editor, agency(62))
    node.identity.RevokeToken(identity_api.RevokeTokenRequest(id=editor_id))
    refused("UNAUTHENTICATED", unauthenticated, "", lambda: create(editor, agency(63)))
    tokens = node.identity.ListTokens(identity_api.ListTokensRequest()).tokens
    must([token.id for token in tokens if token.HasField("revoked_at_ms")] == [editor_id], "one token is revoked")
    refused("NOT_FOUND", grpc.StatusCode.NOT_FOUND, "id",
            lambda: node.identity.RevokeToken(identity_api.RevokeTokenRequest(id=UNKNOWN)))


def refusals_of_peers(node, card):
    """`card` is that of node 00, which does not answer."""
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    forged = exchange.Card()
    forged.CopyFrom(card)
    forged.display_name += "！"
    add = exchange_api.AddPeerRequest(card=forged, confirmed=True)
    refused("CARD_INVALID", invalid, "card", lambda: node.exchange.AddPeer(add))
    test = exchange_api.TestPeerRequest(node=card.node)
    refused("PEER_UNKNOWN", missing, "node", lambda: node.exchange.TestPeer(test))
    node.exchange.AddPeer(exchange_api.AddPeerRequest(card=card, confirmed=True))
    refused("UNAVAILABLE", grpc.StatusCode.UNAVAILABLE, "", lambda: node.exchange.TestPeer(test))

    get = exchange_api.GetAgreementRequest(id=UNKNOWN)
    refused("AGREEMENT_UNKNOWN", missing, "id", lambda: node.exchange.GetAgreement(get))
    path = common.FieldPath(numbers=[4])
    clause = exchange.KindClause(kind="agencies", fields=[path, common.FieldPath(numbers=[6])], pseudonym=False)
    sound = {"provider": "64", "consumer": "00", "clauses": [clause], "purpose": "统计", "legal_basis": "协议",
             "sharing_class": exchange.SHARING_CLASS_CONDITIONAL, "sensitivity_cap": exchange.SENSITIVITY_L2,
             "begins_on": "2024-01-01", "after_end": exchange.AFTER_END_KEEP}

    def draft(**changed):
        terms = exchange.Terms(**{**sound, **changed})
        return node.exchange.DraftAgreement(exchange_api.DraftAgreementRequest(terms=terms)).agreement

    refused("AGREEMENT_INVALID", invalid, "provider", lambda: draft(provider="35"))
    drafted = draft()
    sign = exchange_api.SignAgreementRequest(id=drafted.id, digest="00" * 32)
    refused("AGREEMENT_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION, "digest",
            lambda: node.exchange.SignAgreement(sign))
    refused("NOT_FOUND", missing, "stream",
            lambda: node.exchange.ListQuarantine(exchange_api.ListQuarantineRequest(stream=UNKNOWN)))


def main():
    address, ca = os.environ["QIANSHOU_NODE"], Path(os.environ["QIANSHOU_CA"]).read_bytes()
    card = json_format.Parse(Path(os.environ["QIANSHOU_PEER_CARD"]).read_text(encoding="utf-8"), exchange.Card())

    def connect(token):
        return Node(address, ca, token)

    node = connect(os.environ["QIANSHOU_TOKEN"])
    reflected(node)
    names = verbs(node)
    repeated(node)
    followed(node)
    refusals_of_records(node, names[1])
    refused_when_busy(node)
    refusals_of_callers(connect, node)
    refusals_of_peers(node, card)
    reasons = {name.removeprefix("ERROR_REASON_") for name in common.ErrorReason.keys()}
    must(provoked.isdisjoint(NOT_PROVOKED), f"{provoked & set(NOT_PROVOKED)} can be provoked after all")
    left = reasons - provoked - set(NOT_PROVOKED)
    must(not left, f"neither provoked nor explained: {left}")
    print(json.dumps({"checks": checks, "provoked": sorted(provoked), "not_provoked": NOT_PROVOKED}, ensure_ascii=False))


main()
