//! The RPC API of any noun, found in the contract by the noun's message: put many, list, get.

use std::time::Duration;

use bytes::Buf as _;
use futures::stream;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, ReflectMessage as _, Value as Field,
};
use qianshou_kernel::{
    error::{Error, Result},
    kind::{Kind, methods},
    line::Line,
};
use qianshou_proto::common::v1::{ErrorReason, PutOutcome};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

/// What one answer may weigh.
const ANSWER_MAX_BYTES: usize = 4 << 20;
/// What one message of a batch should weigh; one record alone may weigh more.
const PART_BYTES: usize = 1 << 20;
/// Records on one page of a list.
pub(crate) const PAGE_RECORDS: i32 = 1000;
/// Rows whose violations are asked for again at once.
const UNTOLD_ROWS: usize = 100;
/// How often a busy or unreachable node is asked again, and after how long first; the wait doubles.
const ATTEMPTS: u32 = 6;
const BACKOFF_MS: u64 = 200;

/// The verbs of one noun.
#[derive(Clone)]
pub(crate) struct Client {
    line: Line,
    put: Verb,
    list: Verb,
    get: Verb,
}

#[derive(Clone)]
struct Verb {
    path: PathAndQuery,
    asked: MessageDescriptor,
    answered: MessageDescriptor,
    /// The field that holds the noun: of the request if it puts, else of the answer.
    noun: FieldDescriptor,
}

/// Records that go in one call.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) records: &'a [DynamicMessage],
    /// The fields that the records speak of; the others of a record that exists stay.
    pub(crate) paths: &'a [String],
    pub(crate) request_id: &'a str,
    /// Only ask.
    pub(crate) dry: bool,
}

impl Client {
    /// The verbs of a kind at the other end of a line.
    pub(crate) fn new(line: Line, kind: &Kind) -> Result<Self> {
        let find = |prefix: &str, put: bool| {
            let mut named = methods().filter(|(_, method)| method.name().starts_with(prefix));
            let verb = named.find_map(|(path, method)| Verb::new(path, &method, kind.message, put));
            verb.ok_or_else(|| Error::broken(format!("the contract has no {prefix} for {}", kind.collection)))
        };
        Ok(Self { line, put: find("BatchPut", true)?, list: find("List", false)?, get: find("Get", false)? })
    }

    /// Puts a batch and says what became of each record. A busy or unreachable node is asked again.
    pub(crate) async fn put(&self, batch: Batch<'_>) -> Result<Vec<PutOutcome>, Status> {
        let mut wait = Duration::from_millis(BACKOFF_MS);
        for attempt in 1.. {
            let answer = self.put_once(batch).await;
            let again = match &answer {
                Ok(outcomes) => outcomes.iter().any(is_busy),
                Err(status) => matches!(status.code(), Code::Unavailable | Code::ResourceExhausted),
            };
            if !again || attempt == ATTEMPTS {
                return self.with_all_violations(batch, answer?).await;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(Status::internal("unreachable"))
    }

    /// Asks again, in smaller parts, for what an answer had no room to say.
    async fn with_all_violations(
        &self,
        batch: Batch<'_>,
        mut outcomes: Vec<PutOutcome>,
    ) -> Result<Vec<PutOutcome>, Status> {
        let untold = |outcome: &PutOutcome| outcome.violations_left() > 0 && outcome.violations.is_empty();
        while let Some(first) = outcomes.iter().position(untold) {
            let further = outcomes.iter().skip(first).take_while(|outcome| untold(outcome)).count();
            let rows = first..first + further.min(UNTOLD_ROWS);
            let part = Batch { records: &batch.records[rows.clone()], request_id: "", dry: true, ..batch };
            for (outcome, told) in outcomes[rows].iter_mut().zip(self.put_once(part).await?) {
                outcome.violations = told.violations;
                outcome.violations_left = None;
            }
        }
        Ok(outcomes)
    }

    async fn put_once(&self, Batch { records, paths, request_id, dry }: Batch<'_>) -> Result<Vec<PutOutcome>, Status> {
        let mut parts = vec![self.put.message()];
        parts[0].set_field_by_name("request_id", Field::String(request_id.to_owned()));
        parts[0].set_field_by_name("validate_only", Field::Bool(dry));
        let mask = parts[0].descriptor().get_field_by_name("update_mask").map(|field| field.kind());
        if let Some(prost_reflect::Kind::Message(mask)) = mask {
            let mut mask = DynamicMessage::new(mask);
            mask.set_field_by_name("paths", Field::List(paths.iter().cloned().map(Field::String).collect()));
            parts[0].set_field_by_name("update_mask", Field::Message(mask));
        }
        let mut held: Vec<Field> = vec![];
        let mut bytes = 0;
        for record in records {
            bytes += record.encoded_len();
            if bytes > PART_BYTES && !held.is_empty() {
                self.put.fill(&mut parts, &mut held);
                parts.push(self.put.message());
                bytes = record.encoded_len();
            }
            held.push(Field::Message(record.clone()));
        }
        self.put.fill(&mut parts, &mut held);
        let mut grpc = self.grpc().await?;
        let request = Request::new(stream::iter(parts));
        let answer = grpc.client_streaming(request, self.put.path.clone(), self.put.codec()).await?.into_inner();
        let outcomes = answer.get_field_by_name("outcomes");
        let outcomes = outcomes.as_deref().and_then(Field::as_list).unwrap_or_default();
        let read = |outcome: &Field| outcome.as_message()?.transcode_to::<PutOutcome>().ok();
        let outcomes: Vec<PutOutcome> = outcomes.iter().filter_map(read).collect();
        if outcomes.len() == records.len() {
            Ok(outcomes)
        } else {
            Err(Status::internal("节点的答复不完整 | the node's answer is not whole"))
        }
    }

    /// A page of a list, and where the next begins.
    pub(crate) async fn list(&self, asked: &[(&str, Field)]) -> Result<(Vec<DynamicMessage>, Option<String>), Status> {
        let answer = self.unary(&self.list, asked).await?;
        let nouns = answer.get_field(&self.list.noun).into_owned();
        let nouns = if let Field::List(nouns) = nouns { nouns } else { vec![] };
        let nouns = nouns.into_iter().filter_map(|n| if let Field::Message(n) = n { Some(n) } else { None }).collect();
        Ok((nouns, text_of(&answer, "next_page_token")))
    }

    /// A record by its name; `None` if there is none, or none that may be seen.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<DynamicMessage>, Status> {
        match self.unary(&self.get, &[("name", Field::String(name.to_owned()))]).await {
            Ok(answer) => Ok(answer.get_field(&self.get.noun).as_message().cloned()),
            Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => Ok(None),
            Err(status) => Err(status),
        }
    }

    async fn unary(&self, verb: &Verb, asked: &[(&str, Field)]) -> Result<DynamicMessage, Status> {
        let mut message = verb.message();
        for (field, value) in asked {
            message.set_field_by_name(field, value.clone());
        }
        let mut grpc = self.grpc().await?;
        Ok(grpc.unary(Request::new(message), verb.path.clone(), verb.codec()).await?.into_inner())
    }

    async fn grpc(&self) -> Result<Grpc<Line>, Status> {
        let mut grpc = Grpc::new(self.line.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        grpc.ready().await.map_err(|cause| Status::unavailable(cause.to_string()))?;
        Ok(grpc)
    }
}

impl Verb {
    fn new(path: String, method: &MethodDescriptor, noun: &str, put: bool) -> Option<Self> {
        let (asked, answered) = (method.input(), method.output());
        let side = if put { &asked } else { &answered };
        let field = side.fields().find(|f| f.kind().as_message().is_some_and(|m| m.full_name() == noun))?;
        Some(Self { path: path.try_into().ok()?, asked, answered, noun: field })
    }

    fn message(&self) -> DynamicMessage {
        DynamicMessage::new(self.asked.clone())
    }

    fn codec(&self) -> Dynamic {
        Dynamic(self.answered.clone())
    }

    fn fill(&self, parts: &mut [DynamicMessage], held: &mut Vec<Field>) {
        if let Some(part) = parts.last_mut() {
            part.set_field(&self.noun, Field::List(std::mem::take(held)));
        }
    }
}

fn is_busy(outcome: &PutOutcome) -> bool {
    outcome.violations.iter().any(|violation| violation.reason() == ErrorReason::Busy)
}

/// A text field that says something.
pub(crate) fn text_of(message: &DynamicMessage, field: &str) -> Option<String> {
    let value = message.get_field_by_name(field)?;
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Messages of the contract by their descriptors.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(into).map_err(|cause| Status::internal(cause.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        message.map(Some).map_err(|cause| Status::internal(cause.to_string()))
    }
}
