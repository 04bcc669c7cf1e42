//! Everybody who has no business there walks every method of the contract: none answers anything of, or changes anything in, another
//! area. A method that comes new is walked by itself; one that reads and whose answer this walk could not recognise has to be listed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};
use qianshou_kernel::{
    binds,
    db::Statement,
    id::Name,
    identity::Role,
    kind::{descriptors, methods},
    ledger::{self, Command, Content, Version, Write},
};
use qianshou_proto::{
    identity::v1 as identity,
    registry::v1::{CreateProposalRequest, Employment, Proposal, ProposalAct, proposal},
};
use qianshou_tests::{Caller, Node, World, sample::agency, stories};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

stories! {
    nobody_reaches_outside_of_its_area
}

/// A county of another city than the callers'.
const OUTSIDE: &str = "640202";
/// Stands in every record there, and in no request.
const MARK: &str = "外人之物";
/// Stands in both: by it something could be looked up.
const KEY: &str = "外人之键";

/// Methods that read what belongs to no area, or to the whole node, or what the walk does not recognise: figures, and pairs of records.
/// The last are refused to whoever asks for another area; [`is_refused`] sees to that.
const UNMARKED: &[&str] = &[
    "GetAgreement",
    "GetCard",
    "GetChange",
    "GetDivision",
    "GetHead",
    "GetPairing",
    "ListAgreements",
    "ListAuditEntries",
    "ListChanges",
    "ListDivisions",
    "ListDuplicates",
    "ListFindings",
    "ListIndicators",
    "ListMatches",
    "ListPairings",
    "ListPeers",
    "ListProblems",
    "ListQuarantine",
    "ListStreams",
    "ReadTable",
    "TraceDivision",
];

/// What answers a caller who is limited to one agency or one pairing: the kinds whose records say whose they are.
const OWNED: [&str; 12] = [
    "Activities",
    "Agencies",
    "Approvals",
    "Commitments",
    "Employments",
    "Incubations",
    "Outcomes",
    "Posts",
    "Projects",
    "Recognitions",
    "Stations",
    "Workers",
];

const NOTHING: &str = "asked for nothing in particular";

/// What was planted of a kind: its name and the record.
type Planted = BTreeMap<String, (String, DynamicMessage)>;

async fn nobody_reaches_outside_of_its_area(world: World) {
    let ningxia = world.node("64").await;
    let planted = plant(&ningxia).await;
    let own = ningxia.admin.create(agency(1)).await.unwrap().noun;
    let token = identity::CreateTokenRequest {
        display_name: Some(MARK.into()),
        role: Some(identity::Role::Reader.into()),
        area: Some(OUTSIDE.into()),
        ..Default::default()
    };
    let token = ningxia.admin.identity().create_token(token).await.unwrap().into_inner().token.unwrap();
    // An act that waits in the other area, under the same id.
    let act = "INSERT INTO pending_acts (id, act, digest, told_zh, told_en, area, requested_by, requested_at, expires_at, state) \
               VALUES ($1, 'IdentityService/CreateToken', 'x', $2, $2, $3, 'tokens/outside', 1, $4, 1)";
    let act = Statement::new(act, binds![token.id(), MARK, OUTSIDE, i64::MAX]);
    assert!(ledger::run(ningxia.ledger.db(), &[act]).await.unwrap());
    let mut walk = Walk { planted, token: token.id().to_owned() };
    walk.propose(&ningxia).await;
    let mut callers = vec![("nobody".to_owned(), ningxia.stranger())];
    for role in Role::ALL {
        callers.push((format!("{role} of 6401"), ningxia.caller(role, "6401").await));
    }
    for role in [Role::Reader, Role::Editor] {
        callers.push((format!("{role} of one agency"), ningxia.limited(role, "64", own.name()).await));
        callers.push((format!("{role} of one pairing"), ningxia.limited(role, "64", "其他/第一批/A/B").await));
    }
    let before = standing(&ningxia).await;
    for (who, caller) in &callers {
        let mut answered = BTreeSet::new();
        for (path, method) in methods() {
            for (asked, words) in walk.requests(&method) {
                let at = format!("{who}: {path} {words}");
                let answer = call(caller, &path, &asked).await;
                let told = match &answer {
                    Ok(told) => told.clone(),
                    Err(status) => [status.message().as_bytes(), status.details()].concat(),
                };
                assert!(!holds(&told, MARK), "{at} tells what is not theirs: {answer:?}");
                assert!(words != NOTHING || !holds(&told, KEY), "{at} tells what is not theirs: {answer:?}");
                let code = answer.err().map(|status| status.code());
                answered.extend(code.is_none().then(|| method.name().to_owned()));
                assert!(code != Some(Code::Internal), "{at} broke");
                assert!(who != "nobody" || code == Some(Code::Unauthenticated), "{at}: {code:?}");
                let audits = who.starts_with("auditor") && path.starts_with("/qianshou.audit.");
                assert!(!who.starts_with("auditor") || audits || code.is_some(), "{at} is no audit");
                assert!(code.is_some() || !is_refused(&path, &asked), "{at} answers");
            }
        }
        assert_eq!(standing(&ningxia).await, before, "{who} changed something");
        if who.contains("of one") {
            let batches = |name: &String| who.starts_with("editor") && name.starts_with("BatchPut");
            let lists: Vec<String> = answered.into_iter().filter(|name| !batches(name)).collect();
            assert_eq!(lists, OWNED.map(|kind| format!("List{kind}")), "{who}");
        }
    }

    // What the walk looks for is there to be seen.
    let reads = methods()
        .filter(|(_, method)| ["Get", "List", "Read", "Trace"].iter().any(|verb| method.name().starts_with(verb)));
    let mut unmarked = vec![];
    for (path, method) in reads {
        let mut is_seen = false;
        for (asked, _) in walk.requests(&method) {
            is_seen |= call(&ningxia.admin, &path, &asked).await.is_ok_and(|told| holds(&told, MARK));
        }
        unmarked.extend((!is_seen).then(|| method.name().to_owned()));
    }
    unmarked.sort();
    assert_eq!(unmarked, UNMARKED, "a method that reads is new, or is seen now");
}

/// Whether nobody of another area, and nobody limited, may have an answer at all.
fn is_refused(path: &str, asked: &DynamicMessage) -> bool {
    let asks_for =
        |area: &str| asked.get_field_by_name("area").and_then(|field| Some(field.as_str()? == area)).unwrap_or(false);
    let whole = ["exchange.v1", "ReadEntries", "GetPairing"].iter().any(|of| path.contains(of));
    whole || ((path.contains("ReadTable") || path.contains("ListDuplicates")) && (asks_for(OUTSIDE) || asks_for("64")))
}

/// A record of every kind that this node writes, in another area: whatever can be filled is.
async fn plant(node: &Node) -> Planted {
    let mut planted = Planted::new();
    for kind in qianshou::node::kinds() {
        let described = descriptors().get_message_by_name(kind.message).unwrap();
        let record = filled(&described, 0, &|field| match field.name() {
            "name" | "etag" => None,
            "pairing" => Some(KEY),
            "division" => Some(OUTSIDE),
            _ => Some(MARK),
        });
        let name = Name::of(kind.home.unwrap_or("64"), kind.collection, "outside");
        // What the nation keeps for all, everybody reads; its approvals are of one place.
        if kind.home.is_none() || kind.collection == "approvals" {
            let payload = Bytes::from(record.encode_to_vec());
            assert_eq!(
                kind.index(&payload, None).unwrap().area.as_deref(),
                Some(OUTSIDE),
                "{} lies elsewhere",
                kind.collection
            );
            let content = Content::Put { payload, sealed: None };
            let write = match kind.home {
                None => Write::Own(name.clone(), content),
                Some(_) => Write::Received(name.clone(), Version { epoch: 1, revision: 1 }, content),
            };
            node.ledger
                .submit(Command { actor: "tokens/outside".into(), writes: vec![write], ..Command::default() })
                .await
                .unwrap();
        }
        planted.insert(kind.message.to_owned(), (name.to_string(), record));
    }
    planted
}

/// A message with everything in it; `text` says what a text field holds.
fn filled(
    described: &MessageDescriptor,
    depth: u32,
    text: &dyn Fn(&FieldDescriptor) -> Option<&'static str>,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(described.clone());
    for field in described.fields() {
        let value = match field.kind() {
            Kind::String => match text(&field) {
                Some(_) if field.name().ends_with("_on") => Value::String("2024-01-01".into()),
                Some(text) => Value::String(text.into()),
                None => continue,
            },
            Kind::Bytes => Value::Bytes(MARK.into()),
            Kind::Bool => Value::Bool(true),
            Kind::Enum(of) => {
                Value::EnumNumber(of.values().map(|value| value.number()).find(|number| *number > 0).unwrap_or(0))
            }
            Kind::Message(of) if depth < 4 => Value::Message(filled(&of, depth + 1, text)),
            Kind::Message(_) => continue,
            Kind::Double => Value::F64(1.0),
            Kind::Float => Value::F32(1.0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
        };
        message.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    message
}

struct Walk {
    planted: Planted,
    /// The id of another area's token.
    token: String,
}

impl Walk {
    /// What a method is asked: nothing in particular; for what is outside; for the node's whole area; and to take what is outside over.
    fn requests(&self, method: &MethodDescriptor) -> Vec<(DynamicMessage, &'static str)> {
        vec![
            (DynamicMessage::new(method.input()), NOTHING),
            (self.asked(method, OUTSIDE, OUTSIDE), "asked for what is outside"),
            (self.asked(method, "64", "640104"), "asked for everything"),
        ]
    }

    fn asked(&self, method: &MethodDescriptor, area: &'static str, division: &'static str) -> DynamicMessage {
        let input = method.input();
        let mut asked = DynamicMessage::new(input.clone());
        let noun = self.noun(method);
        for field in input.fields() {
            let value = match (field.name(), field.kind()) {
                (
                    "request_id" | "page_token" | "etag" | "min_position" | "follow" | "validate_only" | "update_mask",
                    _,
                ) => continue,
                ("name", _) => Value::String(noun.map_or(KEY.to_owned(), |(name, _)| name.clone())),
                ("id", _) => Value::String(self.token.clone()),
                ("area", _) => Value::String(area.to_owned()),
                (_, Kind::String) if field.is_list() => continue,
                // What is found by text or narrowed by a list's word would find nothing.
                ("query" | "state" | "order_by" | "at" | "divisions_at" | "type" | "tag" | "stage", _) => continue,
                (_, Kind::String) => Value::String(KEY.to_owned()),
                (_, Kind::Message(of)) => {
                    let Some((name, record)) = self.planted.get(of.full_name()) else { continue };
                    let mut record = record.clone();
                    for own in of.fields().filter(|own| own.kind() == Kind::String && !own.is_list()) {
                        record.set_field(&own, Value::String(KEY.to_owned()));
                    }
                    // To make something of one's own is nobody's business; to take something over is.
                    let division = if method.name().starts_with("Create") { OUTSIDE } else { division };
                    if of.get_field_by_name("division").is_some() {
                        record.set_field_by_name("division", Value::String(division.to_owned()));
                    }
                    if of.get_field_by_name("etag").is_some() {
                        record.clear_field_by_name("etag");
                    }
                    match method.name().starts_with("Create") {
                        true => record.clear_field_by_name("name"),
                        false => record.set_field_by_name("name", Value::String(name.clone())),
                    }
                    let record = Value::Message(record);
                    if field.is_list() { Value::List(vec![record]) } else { record }
                }
                (_, Kind::Bool) => Value::Bool(true),
                (_, Kind::Enum(_)) => Value::EnumNumber(1),
                _ => continue,
            };
            let value = if field.is_list() && value.as_list().is_none() { Value::List(vec![value]) } else { value };
            asked.set_field(&field, value);
        }
        asked
    }

    /// Plants a proposal between two areas outside, which is no record of the ledger.
    async fn propose(&mut self, node: &Node) {
        let by = node.caller(Role::Editor, "640205").await;
        let record = Employment {
            worker: Some("nodes/64/workers/outside".into()),
            since: Some("2024-01-01".into()),
            ..Employment::default()
        };
        let proposal = Proposal {
            to_area: Some(OUTSIDE.into()),
            act: Some(ProposalAct::Create.into()),
            record: Some(proposal::Record::Employment(record)),
            reason: Some(format!("{MARK}{KEY}")),
            ..Proposal::default()
        };
        let asked = CreateProposalRequest { proposal: Some(proposal), ..CreateProposalRequest::default() };
        let made = by.registry().create_proposal(asked).await.unwrap().into_inner().proposal.unwrap();
        let described = descriptors().get_message_by_name("qianshou.registry.v1.Proposal").unwrap();
        let message = DynamicMessage::decode(described, made.encode_to_vec().as_slice()).unwrap();
        self.planted.insert("qianshou.registry.v1.Proposal".to_owned(), (made.name().to_owned(), message));
    }

    /// The noun whose verb a method is.
    fn noun(&self, method: &MethodDescriptor) -> Option<&(String, DynamicMessage)> {
        let verb =
            ["Create", "Get", "Update", "Delete", "Decide"].iter().find_map(|verb| method.name().strip_prefix(verb))?;
        let mut nouns = self.planted.iter();
        nouns.find(|(message, _)| message.rsplit('.').next() == Some(verb)).map(|(_, planted)| planted)
    }
}

/// Where the ledger stands, which tokens there are and which acts wait; when tokens were used is not looked at.
async fn standing(node: &Node) -> (u64, Vec<String>, Vec<i64>) {
    let sql = "SELECT id, display_name, role, area, revoked_at FROM tokens ORDER BY id";
    let rows = node.ledger.db().fetch(sql, binds![]).await.unwrap();
    let text = |row: &qianshou_kernel::db::Row| {
        let (id, name, area) = (row.text(0).unwrap(), row.text(1).unwrap(), row.text(3).unwrap());
        format!("{id} {name} {} {area} {:?}", row.int(2).unwrap(), row.maybe_int(4).unwrap())
    };
    let proposals = "SELECT name, state FROM registry_proposals ORDER BY name";
    let proposals = node.ledger.db().fetch(proposals, binds![]).await.unwrap();
    let kept = |row: &qianshou_kernel::db::Row| format!("{} {}", row.text(0).unwrap(), row.text(1).unwrap());
    let acts = node.ledger.db().fetch("SELECT state FROM pending_acts ORDER BY id", binds![]).await.unwrap();
    let acts = acts.iter().map(|row| row.int(0).unwrap()).collect();
    (node.position().await, rows.iter().map(text).chain(proposals.iter().map(kept)).collect(), acts)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// Calls a method of any form with one message; answers all it says.
async fn call(by: &Caller, path: &str, asked: &DynamicMessage) -> Result<Vec<u8>, Status> {
    let mut grpc = Grpc::new(by.line()).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|cause| Status::unavailable(cause.to_string()))?;
    let request = Request::new(stream::iter([asked.encode_to_vec()]));
    let answers = async {
        let answer = grpc.streaming(request, path.try_into().unwrap(), Raw).await?;
        Ok::<_, Status>(answer.into_inner().try_collect::<Vec<_>>().await?.concat())
    };
    tokio::time::timeout(Duration::from_secs(20), answers).await.unwrap_or_else(|_| panic!("{path} does not end"))
}

/// Messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
